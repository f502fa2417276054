"""The files: every format occurs, and pydicom reads back what was drawn, bit by bit."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pydicom
import pytest

from rsna.synthetic.acquisition import windows
from rsna.synthetic.dicom import CODECS, Description, encode_dicom
from rsna.synthetic.machines import EXACT, LINEAR, MACHINES, NO_WINDOW, PLAIN, SEVERAL, SIGMOID, Voi, draw_study

SYNTAXES = {"1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"}


def describe(codec: str, bits: int, inverted: bool = False, voi: Voi = LINEAR) -> Description:
    return Description(
        uid=("1", "L", "2"),
        patient_id="7",
        laterality="L",
        view="CC",
        instance=1,
        spacing=0.7,
        bits=bits,
        inverted=inverted,
        voi=voi,
        windows=[(300, 500), (300, 400), (300, 600)][: voi.windows],
        codec=codec,
        implant=False,
    )


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("bits", [10, 11, 12, 13, 14, 15, 16])
def test_pydicom_reads_back_the_stored_values(codec: str, bits: int) -> None:
    pixels = np.random.default_rng(bits).integers(0, 2**bits, (61, 43)).astype(np.uint16)
    pixels[:2, 0] = 0, 2**bits - 1
    dataset = pydicom.dcmread(BytesIO(encode_dicom(pixels, describe(codec, bits))))
    assert (dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation) == (bits, bits - 1, 0)
    np.testing.assert_array_equal(dataset.pixel_array, pixels)


def test_jpeg_2000_comes_boxed_and_bare() -> None:
    pixels = np.zeros((32, 32), np.uint16)
    boxed, bare = (
        pydicom.encaps.get_frame(
            pydicom.dcmread(BytesIO(encode_dicom(pixels, describe(codec, 12)))).PixelData, 0, number_of_frames=1
        )
        for codec in ("jp2", "j2k")
    )
    assert boxed.startswith(b"\x00\x00\x00\x0cjP  ")
    assert bare.startswith(b"\xff\x4f\xff\x51")


@pytest.mark.parametrize("voi", [PLAIN, NO_WINDOW, LINEAR, SEVERAL, EXACT, SIGMOID])
@pytest.mark.parametrize("inverted", [False, True])
def test_header_says_how_to_show_the_values(voi: Voi, inverted: bool) -> None:
    pixels = np.full((16, 16), 100, np.uint16)
    dataset = pydicom.dcmread(BytesIO(encode_dicom(pixels, describe("raw", 12, inverted, voi))))
    assert dataset.PhotometricInterpretation == ("MONOCHROME1" if inverted else "MONOCHROME2")
    assert dataset.get("VOILUTFunction", "") == voi.function
    centres = dataset.get("WindowCenter", [])
    assert len(centres if isinstance(centres, pydicom.multival.MultiValue | list) else [centres]) == voi.windows


def test_machines_cover_every_variant() -> None:
    machines = MACHINES.values()
    assert {CODECS[codec][0] for machine in machines for codec in machine.codecs} == SYNTAXES
    assert {codec for machine in machines for codec in machine.codecs} == set(CODECS)
    assert {bits for machine in machines for bits in machine.bits} == set(range(10, 17))
    assert {machine.inverted for machine in machines} == {False, True}
    assert {v for machine in machines for v in machine.voi} == {PLAIN, NO_WINDOW, LINEAR, SEVERAL, EXACT, SIGMOID}
    sizes = {size[:2] for machine in machines for size in machine.sizes}
    assert sizes == {(2294, 1914), (3328, 2560), (4096, 3328), (4740, 3540), (5928, 4728)}


def test_windows_cover_the_tissue_of_both_polarities() -> None:
    rng = np.random.default_rng(0)
    for machine_id in MACHINES:
        study = draw_study(0, "train", 0, machine_id, 90.0, 0.1)
        highest = 2**study.bits - 1
        tissue = study.machine.air + study.gain * 0.45**study.gamma
        stored = highest * (1 - tissue if study.machine.inverted else tissue)
        for centre, width in windows(rng, study):
            assert abs(stored - centre) < width / 2


def test_the_same_input_gives_the_same_bytes() -> None:
    pixels = np.arange(900, dtype=np.uint16).reshape(30, 30)
    for codec in CODECS:
        assert encode_dicom(pixels, describe(codec, 10)) == encode_dicom(pixels, describe(codec, 10))
