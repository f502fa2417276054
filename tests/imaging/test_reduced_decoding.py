"""What is decoded at a lower resolution and without its lowest bit planes looks like what is decoded in full."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
from dicom_files import write_dicom
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rsna.config import ImagingSpec, RoiSpec
from rsna.errors import ImageError
from rsna.imaging import Box, geometry, load_image, load_steps, thinning
from rsna.imaging.plan import FINER, choose_level, crop_level, target_size

BOUNDS = {(2048, 1024): 0.5, (1024, 512): 0.8}  # mean grey levels of 255, in the breast
WINDOW = {"WindowCenter": 1800, "WindowWidth": 2600}


def mammogram(rows: int, columns: int, bits: int = 12, seed: int = 0) -> np.ndarray:
    """A breast with 1/f texture, noise and calcifications, air at 0; (rows, columns) uint16."""
    draw, top = np.random.default_rng(seed), 2.0**bits - 1
    texture = np.zeros((rows, columns), np.float32)
    for s in (1, 4, 16, 64):
        coarse = draw.standard_normal((rows // s + 2, columns // s + 2)).astype(np.float32)
        texture += cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC) * s**0.6
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    depth = 1 - ((y / rows - 0.5) / 0.42) ** 2 - (x / columns / 0.6) ** 2
    values = top * (0.25 + 0.35 * np.sqrt(depth.clip(0)) + 0.004 * texture)
    for _ in range(30):
        i, j = draw.integers(rows // 4, 3 * rows // 4), draw.integers(20, columns // 3)
        values[i - 1 : i + 2, j - 1 : j + 2] += 0.1 * top
    return np.where(depth > 0, values, 0).clip(0, top).astype(np.uint16)


def check_equality(path: Path, spec: ImagingSpec, bound: float, box: Box | None = None) -> int:
    """Compare both ways of decoding; returns the level of the reduced one."""
    reduced, full = load_steps(path, spec, box), load_steps(path, replace(spec, decode="full"), box)
    assert (full.level, full.planes) == (0, 0)
    assert reduced.box == full.box
    inside = full.picture > 0
    assert cv2.absdiff(reduced.picture, full.picture)[inside].mean() <= bound
    return reduced.level


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (thinning, geometry):
        monkeypatch.setattr(module, "compiled", lambda _: None)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_equality(tmp_path: Path, photometric: str) -> None:
    file = write_dicom(
        tmp_path / "a.dcm", mammogram(2900, 2200), "jp2", 12, PhotometricInterpretation=photometric, **WINDOW
    )
    levels = [check_equality(file, ImagingSpec(*target), bound) for target, bound in BOUNDS.items()]
    assert levels == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "columns", "bits"), [(4740, 3540, 14), (5928, 4728, 12)])
@pytest.mark.parametrize("voi", ["header", "minmax"])
def test_equality_on_large_images(tmp_path: Path, rows: int, columns: int, bits: int, voi: str) -> None:
    window = {"WindowCenter": 2 ** (bits - 1), "WindowWidth": 2**bits * 2 // 3}
    file = write_dicom(tmp_path / "a.dcm", mammogram(rows, columns, bits), "jp2", bits, **window)
    for target, bound in BOUNDS.items():
        check_equality(file, ImagingSpec(*target, voi=voi), bound)


@pytest.mark.usefixtures("without_numba")
@pytest.mark.parametrize("shape", [(1800, 1400), (1147, 957)])  # Pillow cannot halve the second one twice
def test_equality_without_numba(tmp_path: Path, shape: tuple[int, int]) -> None:
    file = write_dicom(tmp_path / "a.dcm", mammogram(*shape), "jp2", 12, **WINDOW)
    assert check_equality(file, ImagingSpec(256, 128), 1.0) == (2 if shape[1] % 4 == 0 else 1)


def test_equality_on_the_real_files(shared_data: Path) -> None:
    reduced = 0
    for path in sorted((shared_data / "dicom").glob("*.dcm")):
        for target, bound in BOUNDS.items():
            try:
                reduced += check_equality(path, ImagingSpec(*target), bound) > 0
            except ImageError:  # no picture in either way
                with pytest.raises(ImageError):
                    load_image(path, ImagingSpec(*target, decode="full"))
    assert reduced >= 3


@pytest.mark.parametrize("box", [Box(301, 77, 1200, 640), Box(0, 0, 1800, 1400), Box(999, 100, 1800, 901)], ids=str)
def test_a_given_box(tmp_path: Path, box: Box) -> None:
    file = write_dicom(tmp_path / "a.dcm", mammogram(1800, 1400), "j2k", 12, **WINDOW)
    assert check_equality(file, ImagingSpec(300, 200), 0.9, box) > 0
    kept = load_steps(file, ImagingSpec(300, 200), box).box
    for side in ("top", "left", "bottom", "right"):
        assert abs(getattr(kept, side) - getattr(box, side)) < 8


@pytest.mark.parametrize("kind", ["tiles", "signed", "lifted", "more bits stored", "lossy"])
def test_traps(tmp_path: Path, kind: str) -> None:
    pixels, attributes = mammogram(1500, 1200), dict(WINDOW)
    match kind:
        case "tiles":  # not understood by the thinning: Pillow reduces it
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "JPEG2000", irreversible=False, no_jp2=True, tile_size=(512, 512))
            frame = buffer.getvalue()
        case "signed":
            pixels = pixels.astype(np.int16) - 2000
            frame = bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="j2k"))
            attributes = {"WindowCenter": -200, "WindowWidth": 2600}
        case "lifted":  # an unsigned stream in a header that says signed
            frame = bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, bitspersample=12))
            attributes = {"PixelRepresentation": 1, "WindowCenter": 0, "WindowWidth": 4096}
        case "more bits stored":
            frame = bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, bitspersample=12))
            attributes |= {"BitsStored": 16, "HighBit": 15}
        case _:
            frame = bytes(imagecodecs.jpeg2k_encode(pixels, level=50, reversible=False, bitspersample=12))
    file = write_dicom(tmp_path / "a.dcm", pixels, "j2k", 12, frame=frame, **attributes)
    bound = 1.2 if kind == "lifted" else 0.8
    for spec in (ImagingSpec(400, 300), ImagingSpec(400, 300, roi=RoiSpec(method="none"))):
        if kind == "lifted":  # values wrap at the middle of the range, in full; what matters is that nothing breaks
            assert load_image(file, spec).shape == (400, 300)
        else:
            assert check_equality(file, spec, bound) > 0


@given(
    shape=st.tuples(st.integers(9, 6000), st.integers(9, 6000)),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
    target=st.tuples(st.integers(8, 3000), st.integers(8, 3000)),
    keep_aspect=st.booleans(),
    levels=st.integers(0, 6),
)
def test_the_region_is_never_upsampled(
    shape: tuple[int, int],
    corners: tuple[float, ...],
    target: tuple[int, int],
    keep_aspect: bool,
    levels: int,
) -> None:
    top, bottom = sorted(round(part * (shape[0] - 1)) for part in corners[:2])
    left, right = sorted(round(part * (shape[1] - 1)) for part in corners[2:])
    box, spec = Box(top, left, bottom + 1, right + 1), ImagingSpec(*target, keep_aspect=keep_aspect)
    level, kept = choose_level(box, shape, spec, levels)
    assert 0 <= level <= levels
    assert kept.clip(shape) == kept
    if level == 0:
        assert kept == box
        return
    rows, columns = target_size(kept, spec)
    assert kept.height % 2**level == kept.width % 2**level == 0
    assert kept.height >= FINER * rows * 2**level
    assert kept.width >= FINER * columns * 2**level
    for side in ("top", "left", "bottom", "right"):
        assert abs(getattr(kept, side) - getattr(box, side)) < 2 * 2**level


@given(level=st.integers(0, 5), top=st.integers(0, 200), left=st.integers(0, 200), size=st.integers(1, 6))
def test_crops_lie_where_averages_lie(level: int, top: int, left: int, size: int) -> None:
    step = 2**level
    y, x = np.mgrid[:24, :24].astype(np.float32) * step  # samples of a ramp lie on the pixels 0, step, 2 step …
    box = Box(top % (8 * step), left % (8 * step), top % (8 * step) + size * step, left % (8 * step) + size * step)
    centre = np.arange(size) * step + (step - 1) / 2  # of the averages of `step` pixels
    np.testing.assert_allclose(crop_level(y, box, level)[:, 0], box.top + centre, atol=1e-3)
    np.testing.assert_allclose(crop_level(x, box, level)[0], box.left + centre, atol=1e-3)


def test_the_setting_is_checked() -> None:
    from rsna.config import load
    from rsna.errors import InputError

    assert load(ImagingSpec, {}).decode == "reduced"
    assert load(ImagingSpec, {"decode": "full"}).decode == "full"
    with pytest.raises(InputError, match="'half' is not one of"):
        load(ImagingSpec, {"decode": "half"})
