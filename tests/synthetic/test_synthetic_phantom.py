"""The pictures: what is in them, that lesions show in degrees, and that nothing but the lesions tells the label."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import cv2
import numpy as np
import pydicom
import pytest
from sklearn.metrics import roc_auc_score

from rsna.synthetic.options import BreastOptions
from rsna.synthetic.population import Patient, draw_patient
from rsna.synthetic.render import Renderer
from rsna.synthetic.tables import draw_patients
from rsna.synthetic.texture import power_law

SMALL = BreastOptions(70, 1, scale=0.05, seed=3, positive_rate=0.4)


def brightness(renderer: Renderer, side: int, number: int) -> np.ndarray:
    return upright(renderer.pixels(renderer.patient.breasts[side], number), renderer)


def upright(stored: np.ndarray, renderer: Renderer) -> np.ndarray:
    """What a viewer would show: stored values in [0, 1], MONOCHROME1 turned round."""
    values = stored / (2.0**renderer.study.bits - 1)
    return 1 - values if renderer.study.machine.inverted else values


def first_image(patient: Patient, side: int, view: str) -> int:
    return [image.view for image in patient.breasts[side].images].index(view)


def patient_with(options: BreastOptions, **wanted: object) -> Patient:
    return next(p for p in draw_patients(options, "train") if all(getattr(p, k) == v for k, v in wanted.items()))


def test_texture_has_the_spectrum_it_was_asked_for() -> None:
    field = power_law(np.random.default_rng(0), (256, 256), 3.0)
    power = np.abs(np.fft.fft2(field)) ** 2
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None, :])
    band = (frequency > 0.02) & (frequency < 0.3)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert slope == pytest.approx(-3.0, abs=0.1)


def test_texture_moves_with_its_origin() -> None:
    here, there = (power_law(np.random.default_rng(0), (50, 40), 3.0, origin) for origin in ((0, 0), (7, 3)))
    np.testing.assert_array_equal(here[:40, :30], there[7:47, 3:33])


def test_breast_lies_at_its_side_and_air_is_noisy() -> None:
    options = replace(SMALL, scale=0.1)
    renderer = Renderer(options, patient_with(options, machine=49, implant=False))
    for side in (0, 1):
        image = brightness(renderer, side, first_image(renderer.patient, side, "CC"))
        chest, air = (image[:, :5], image[:, -30:]) if side == 0 else (image[:, -5:], image[:, :30])
        middle = slice(image.shape[0] // 3, 2 * image.shape[0] // 3)
        assert np.median(chest[middle]) > 0.15
        assert np.median(air[middle]) < 0.05
        assert air[middle].std() > 0


def test_muscle_shows_in_the_oblique_view_only() -> None:
    options = replace(SMALL, scale=0.1)
    renderer = Renderer(options, patient_with(options, machine=49, implant=False))
    corners = {
        view: brightness(renderer, 0, first_image(renderer.patient, 0, view))[3:12, 3:8] for view in ("CC", "MLO")
    }
    assert corners["MLO"].mean() > corners["CC"].mean() + 0.2


def test_implant_is_large_and_bright_and_displaced_in_every_other_image() -> None:
    options = BreastOptions(300, 1, scale=0.1)
    patient = patient_with(options, implant=True)
    renderer, shares = Renderer(options, patient), {True: 0.0, False: 0.0}
    for number, image in enumerate(patient.breasts[0].images):
        shares[image.displaced] = float((brightness(renderer, 0, number) > 0.75 * renderer.study.gain).mean())
    assert shares[False] > 0.08
    assert shares[False] > 2 * shares[True]


def test_a_lesion_lies_at_the_same_depth_in_both_views() -> None:
    checked = 0
    for patient in draw_patients(SMALL, "train"):
        renderer, healthy = Renderer(SMALL, patient), Renderer(SMALL, patient, with_cancers=False)
        breast = patient.breasts[0]
        if not breast.cancer or patient.implant or renderer.lesions(breast)[-1].contrast < 0.5:
            continue
        depths = []
        for view in ("CC", "MLO"):
            number = first_image(patient, 0, view)
            added = brightness(renderer, 0, number) - brightness(healthy, 0, number)
            depths.append((added.sum(axis=0) * np.arange(added.shape[1])).sum() / added.sum() * renderer.study.pitch)
        assert abs(depths[0] - depths[1]) < 22  # mm: the chest wall moves by a few between exposures
        checked += 1
    assert checked > 5


def test_lesions_show_in_degrees() -> None:
    peaks = []
    for patient in draw_patients(SMALL, "train"):
        renderer, healthy = Renderer(SMALL, patient), Renderer(SMALL, patient, with_cancers=False)
        for side, breast in enumerate(patient.breasts):
            if breast.cancer and not patient.implant:
                peaks.append((brightness(renderer, side, 0) - brightness(healthy, side, 0)).max())
    assert len(peaks) > 40
    assert min(peaks) >= 0
    assert np.mean(np.array(peaks) < 0.1) > 0.05  # near invisible beside a texture of about 0.05
    assert np.mean(np.array(peaks) > 0.25) > 0.25  # plain to see


def test_labels_show_in_the_lesions_alone() -> None:
    labels, clues = [], {"mean": [], "max": [], "file size": [], "spread": [], "blob": []}
    for patient in draw_patients(SMALL, "train"):
        renderer = Renderer(SMALL, patient)
        for breast in patient.breasts:
            files = [renderer.dicom(breast, number) for number in range(len(breast.images))]
            images = [upright(pydicom.dcmread(BytesIO(file)).pixel_array, renderer) for file in files]
            labels.append(breast.cancer)
            clues["mean"].append(np.mean([image.mean() for image in images]))
            clues["max"].append(np.mean([image.max() for image in images]))
            clues["spread"].append(np.mean([image.std() for image in images]))
            clues["file size"].append(np.mean([len(file) for file in files]))
            clues["blob"].append(np.mean([strongest_blob(image, renderer.study.pitch) for image in images]))
    scores = {clue: roc_auc_score(labels, values) for clue, values in clues.items()}
    for clue in ("mean", "max", "spread", "file size"):
        assert abs(scores[clue] - 0.5) < 0.15, scores
    assert 0.6 < scores["blob"] < 0.95, scores


def strongest_blob(image: np.ndarray, pitch: float) -> float:
    """The strongest answer of a matched filter for bright blobs of a lesion's size, away from skin and markers."""
    inside = cv2.erode((image > 0.12).astype(np.uint8), np.ones((9, 9), np.uint8))
    narrow, wide = (cv2.GaussianBlur(image, (0, 0), millimetres / pitch) for millimetres in (4.0, 8.0))
    return float(((narrow - wide) * inside).max())


def test_benign_findings_are_the_same_with_and_without_the_cancer() -> None:
    for patient in draw_patients(SMALL, "train"):
        for breast in patient.breasts:
            found, healthy = (Renderer(SMALL, patient, with_cancers=shown).lesions(breast) for shown in (True, False))
            assert found[: len(healthy)] == healthy
            assert len(found) - len(healthy) == int(breast.cancer)


@pytest.mark.parametrize("scale", [0.03, 0.1, 0.2])
def test_pictures_have_the_machines_shape(scale: float) -> None:
    options = BreastOptions(3, 1, scale=scale)
    for index in range(3):
        patient = draw_patient(options, "train", index)
        renderer = Renderer(options, patient)
        dataset = pydicom.dcmread(BytesIO(renderer.dicom(patient.breasts[0], 0)))
        assert dataset.pixel_array.shape == renderer.study.shape
        rows, columns = renderer.study.shape
        full = {(round(r * scale), round(c * scale)) for r, c, _ in renderer.study.machine.sizes}
        assert (rows, columns) in full


@pytest.mark.slow
def test_the_largest_image_at_full_size_stays_within_memory() -> None:
    import tracemalloc

    options = BreastOptions(60, 1, scale=1.0)
    patient = patient_with(options, machine=29)
    tracemalloc.start()
    content = Renderer(options, patient).dicom(patient.breasts[0], 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pydicom.dcmread(BytesIO(content)).pixel_array.shape == (5928, 4728)
    assert peak < 1.5e9
