"""The one function from a file to a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from dicom_files import LOSSLESS, breast, write_dicom

from rsna.config import DetectorFile, ImagingSpec, RoiSpec
from rsna.errors import ImageError
from rsna.imaging import (
    Box,
    Region,
    RegionFinder,
    decode_images,
    load_image,
    load_steps,
    load_thumbnail,
    write_png,
)

WHOLE = RoiSpec(method="none")
SPEC = ImagingSpec(height=96, width=48)


def test_picture(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", breast(), "j2k", 12, WindowCenter=1500, WindowWidth=3000)
    for bits, kind in ((8, np.uint8), (16, np.uint16)):
        picture = load_image(path, ImagingSpec(height=96, width=48, bits=bits))
        assert picture.shape == (96, 48)
        assert picture.dtype == kind
        assert picture[0].max() == 0  # padded: the breast is wider than 2:1
        assert picture.max() > 0.6 * np.iinfo(kind).max


def test_same_file_same_picture_whatever_the_codec(tmp_path: Path) -> None:
    files = [write_dicom(tmp_path / f"{codec}.dcm", breast(), codec, 12) for codec in LOSSLESS]
    first = load_image(files[0], SPEC)
    for file in files:
        np.testing.assert_array_equal(load_image(file, SPEC), first)


def test_monochrome1_shows_the_same(tmp_path: Path) -> None:
    pixels = breast()
    plain = write_dicom(tmp_path / "a.dcm", pixels, bits=12, WindowCenter=2048, WindowWidth=4096)
    negative = write_dicom(
        tmp_path / "b.dcm",
        4095 - pixels,
        bits=12,
        PhotometricInterpretation="MONOCHROME1",
        WindowCenter=2048,
        WindowWidth=4096,
    )
    difference = load_image(plain, SPEC).astype(int) - load_image(negative, SPEC)
    assert np.abs(difference).max() <= 1  # resized values round the other way


def test_a_box_replaces_the_region(tmp_path: Path) -> None:
    pixels = breast()
    path = write_dicom(tmp_path / "a.dcm", pixels, bits=12, WindowCenter=2048, WindowWidth=4096)
    spec = ImagingSpec(height=40, width=30)
    picture = load_image(path, spec, Box(50, 20, 90, 50))
    unit = (pixels[50:90, 20:50] - 2047.5) / 4095 + 0.5
    np.testing.assert_array_equal(picture, np.round(255 * unit.clip(0, 1)))
    assert load_steps(path, spec, Box(-5, 60, 90, 999)).box == Box(0, 60, 90, 160)
    with pytest.raises(ImageError, match=r"a.dcm: the region .* lies outside"):
        load_image(path, spec, Box(500, 0, 600, 10))


def test_whole_frame_of_the_same_size_is_only_windowed(tmp_path: Path) -> None:
    pixels = breast()
    path = write_dicom(tmp_path / "a.dcm", pixels, bits=12, WindowCenter=2048, WindowWidth=4096)
    picture = load_image(path, ImagingSpec(height=192, width=160, bits=16, roi=WHOLE))
    np.testing.assert_array_equal(picture, np.round(65535 * (pixels / 4095)))


def test_stretching_fills_the_picture(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", breast() + 500, bits=12, WindowCenter=2048, WindowWidth=4096)
    assert load_image(path, ImagingSpec(height=64, width=64, keep_aspect=False, roi=WHOLE)).min() > 0


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_png_is_taken_as_shown(tmp_path: Path, kind: type) -> None:
    pixels = breast(top=200).astype(kind)
    write_png(tmp_path / "a.png", pixels)
    bits = 8 * pixels.dtype.itemsize
    spec = ImagingSpec(height=192, width=160, bits=bits, roi=WHOLE)
    np.testing.assert_array_equal(load_image(tmp_path / "a.png", spec), pixels)


@dataclass(frozen=True)
class Asked(RegionFinder):
    """Finds always the same region, and keeps what it was shown."""

    region: Region | None = None
    shown: list[np.ndarray] = field(default_factory=list)

    def find(self, thumbnail: np.ndarray, min_area: float) -> Region | None:
        self.shown.append(thumbnail)
        return self.region


@pytest.mark.parametrize("codec", ["raw", "jp2", "sv1"])
@pytest.mark.parametrize("shape", [(192, 160), (1000, 700)])
def test_a_detector_sees_the_whole_frame_and_says_what_is_kept(
    tmp_path: Path, codec: str, shape: tuple[int, int]
) -> None:
    path = write_dicom(tmp_path / "a.dcm", breast(*shape), codec, 12, WindowCenter=1500, WindowWidth=3000)
    region, spec = Region(0.1, 0.2, 0.7, 0.8), ImagingSpec(96, 48, roi=RoiSpec(margin=0.1))
    finder = Asked(path, DetectorFile("a" * 64), region)
    loaded = load_steps(path, spec, finder=finder)
    assert loaded.detected
    assert load_steps(path, spec, region).box == loaded.box
    assert loaded.box.height >= 0.6 * 1.2 * shape[0] - 2
    np.testing.assert_array_equal(loaded.picture, load_steps(path, spec, region).picture)
    (thumbnail,) = finder.shown
    np.testing.assert_array_equal(thumbnail, load_thumbnail(path))
    assert max(thumbnail.shape) == 416
    full = load_thumbnail(write_dicom(tmp_path / "b.dcm", breast(*shape), "raw", 12))
    assert np.abs(thumbnail.astype(int) - full).mean() < 6
    nothing = load_steps(path, spec, finder=Asked(path, DetectorFile("a" * 64)))
    assert not nothing.detected
    np.testing.assert_array_equal(nothing.picture, load_image(path, spec))


def test_decode_images_keeps_order_and_names_what_is_unusable(tmp_path: Path) -> None:
    good = write_dicom(tmp_path / "good.dcm", breast(), "sv1", 12)
    empty = tmp_path / "empty.dcm"
    empty.touch()
    paths = [good, empty, tmp_path / "none.dcm", good]
    outcomes = list(decode_images(iter(paths), SPEC, workers=2))
    assert [outcome.task for outcome in outcomes] == paths
    assert [outcome.error for outcome in outcomes] == [None, "an empty file", "No such file or directory", None]
    for outcome in (outcomes[0], outcomes[3]):
        np.testing.assert_array_equal(outcome.value, load_image(good, SPEC))
