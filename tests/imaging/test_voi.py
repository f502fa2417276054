"""Modality, VOI and inversion against pydicom's own processing."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import breast, table, write_dicom
from hypothesis import given
from hypothesis import strategies as st
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing

from rsna.config import ImagingSpec, RoiSpec
from rsna.imaging import Window, load_image, read_dicom, render
from rsna.imaging.voi import apply_modality, apply_window, shown

ODD = np.arange(2**12, dtype=np.uint16)[::-1] // 3


def expected(path: Path) -> np.ndarray:
    """pydicom's picture in [0, 1]: its windowing scales to the range of the modality's output."""
    dataset = pydicom.dcmread(path)
    modality = apply_modality_lut(dataset.pixel_array, dataset)
    if "VOILUTSequence" in dataset:
        unit = apply_voi_lut(modality.astype(np.int32), dataset) / (2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1)
    else:
        windowed = apply_windowing(modality, dataset)
        low, high = output_range(dataset)
        unit = (windowed - low) / (high - low)
    return 1 - unit if dataset.PhotometricInterpretation == "MONOCHROME1" else unit


def output_range(dataset: pydicom.Dataset) -> tuple[float, float]:
    if "ModalityLUTSequence" in dataset:
        return 0, 2 ** dataset.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    bits, signed = dataset.BitsStored, dataset.PixelRepresentation
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


@pytest.mark.parametrize(
    "attributes",
    [
        {"WindowCenter": 1500, "WindowWidth": 2000},
        {"WindowCenter": 1500.5, "WindowWidth": 1},
        {"WindowCenter": 1500, "WindowWidth": 2000, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 1500, "WindowWidth": 0.5, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 1500, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": [1800, 900], "WindowWidth": [1000, 10], "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": [1800, 900], "WindowWidth": [1000, 10]},
        {"WindowCenter": 700, "WindowWidth": 500, "RescaleSlope": 0.5, "RescaleIntercept": -100},
        {"WindowCenter": 700, "WindowWidth": 500, "RescaleSlope": -0.5, "RescaleIntercept": 1800},
        {"WindowCenter": 600, "WindowWidth": 800, "ModalityLUTSequence": table(100, 16, ODD)},
        {"VOILUTSequence": table(500, 14, np.linspace(0, 2**14 - 1, 2000).astype(np.uint16))},
        {"VOILUTSequence": table(1000, 10, np.arange(1024, dtype=np.uint16))},
        {"WindowCenter": 9, "WindowWidth": 9, "VOILUTSequence": table(0, 12, ODD)},
    ],
    ids=str,
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_equals_pydicom(tmp_path: Path, attributes: dict[str, object], photometric: str) -> None:
    path = write_dicom(tmp_path / "a.dcm", breast(), bits=12, PhotometricInterpretation=photometric, **attributes)
    image = read_dicom(path)
    np.testing.assert_allclose(shown(image.pixels, image.header, "header"), expected(path), atol=1e-9)
    for bits in (8, 16):
        picture = render(image.pixels, image.header, "header", bits)
        assert picture.dtype == {8: np.uint8, 16: np.uint16}[bits]
        assert np.abs(picture / (2**bits - 1) - expected(path)).max() <= 0.5001 / (2**bits - 1)


def test_equals_pydicom_on_signed_values(tmp_path: Path) -> None:
    values = breast().astype(np.int16) - 1500
    path = write_dicom(tmp_path / "a.dcm", values, bits=12, WindowCenter=0, WindowWidth=1000)
    image = read_dicom(path)
    np.testing.assert_allclose(shown(image.pixels, image.header, "header"), expected(path), atol=1e-9)


def test_equals_pydicom_on_the_real_files(shared_data: Path) -> None:
    checked = 0
    for path in sorted((shared_data / "dicom").glob("*.dcm")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                reference = expected(path)
            except Exception:  # no window, an empty table, or not to be read at all
                continue
        image = read_dicom(path)
        has_voi = bool(image.header.windows or image.header.voi_lut)
        if has_voi:
            np.testing.assert_allclose(shown(image.pixels, image.header, "header"), reference, atol=1e-6)
            checked += 1
    assert checked >= 8


def test_no_window_stretches_what_is_kept(tmp_path: Path) -> None:
    pixels = breast()
    image = read_dicom(write_dicom(tmp_path / "a.dcm", pixels, bits=12))
    unit = shown(pixels, image.header, "header")
    np.testing.assert_allclose(unit, (pixels - pixels.min()) / (pixels.max() - pixels.min()))


def test_minmax_does_not_look_at_the_window(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", breast(), bits=12, WindowCenter=5, WindowWidth=0)
    plain = write_dicom(tmp_path / "b.dcm", breast(), bits=12)
    spec = ImagingSpec(height=192, width=160, voi="minmax", roi=RoiSpec(method="none"))
    np.testing.assert_array_equal(load_image(path, spec), load_image(plain, spec))


def test_window_that_misses_the_image_is_left_out(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", breast(), bits=12, WindowCenter=-9000, WindowWidth=100)
    plain = write_dicom(tmp_path / "b.dcm", breast(), bits=12)
    spec = ImagingSpec(height=192, width=160, roi=RoiSpec(method="none"))
    np.testing.assert_array_equal(load_image(path, spec), load_image(plain, spec))


def test_values_of_more_than_16_bits() -> None:
    from rsna.imaging import Header

    header = Header(2, 2, 32, 32)
    picture = render(np.array([[0, 2**20], [2**21, 2**22]], np.float32), header, "header", 16)
    np.testing.assert_array_equal(picture, [[0, 16384], [32768, 65535]])


@given(
    center=st.floats(-5000, 5000),
    width=st.floats(1.001, 8000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_windows_never_fall(center: float, width: float, function: str) -> None:
    values = np.arange(-6000.0, 6000.0, 37.0)
    unit = apply_window(values, Window(center, width), function)
    assert np.isfinite(unit).all()
    assert (np.diff(unit) >= -1e-12).all()
    middle = center - 0.5 if function == "LINEAR" else center
    assert apply_window(np.array([middle]), Window(center, width), function)[0] == pytest.approx(0.5)


def test_modality_equals_pydicom(tmp_path: Path) -> None:
    lut = table(-2048, 16, np.linspace(0, 65535, 4096).astype(np.uint16))
    path = write_dicom(tmp_path / "a.dcm", breast().astype(np.int16) - 2048, bits=12, ModalityLUTSequence=lut)
    image, dataset = read_dicom(path), pydicom.dcmread(path)
    reference = apply_modality_lut(dataset.pixel_array, dataset)
    np.testing.assert_array_equal(apply_modality(image.pixels, image.header), reference)
