"""Boxes, crops and sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsna.imaging import Box, crop, fit, resize
from rsna.imaging.geometry import fitted_size, shrink

sides = st.integers(1, 60)


def test_box() -> None:
    box = Box(10, 20, 50, 100)
    assert (box.height, box.width) == (40, 80)
    assert box.expand(0.1) == Box(6, 12, 54, 108)
    assert box.scale(0.5, 0.25) == Box(5, 5, 25, 25)
    assert box.expand(1).clip((60, 90)) == Box(0, 0, 60, 90)
    assert Box.whole((3, 4)) == Box(0, 0, 3, 4)
    with pytest.raises(ValueError, match="outside the image of 5x5"):
        box.clip((5, 5))


def test_scale_covers_what_it_covered() -> None:
    assert Box(1, 1, 2, 2).scale(2.5, 3.4) == Box(2, 3, 5, 7)


def test_crop_is_a_view() -> None:
    pixels = np.arange(12).reshape(3, 4)
    part = crop(pixels, Box(1, 2, 3, 4))
    np.testing.assert_array_equal(part, [[6, 7], [10, 11]])
    assert part.base is not None


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "f4"])
def test_resize_keeps_values_of_every_type(kind: str) -> None:
    pixels = np.full((9, 7), 100, kind)
    for size in ((4, 3), (20, 30), (4, 30), (20, 3)):
        resized = resize(pixels, *size)
        assert resized.shape == size
        np.testing.assert_allclose(resized, 100, rtol=1e-5)


def test_resize_averages_areas() -> None:
    pixels = np.array([[0, 10, 20, 30], [0, 10, 20, 30]], np.uint16)
    np.testing.assert_array_equal(resize(pixels, 2, 2), [[5, 25], [5, 25]])


def test_resize_averages_the_axis_that_shrinks_and_interpolates_the_other() -> None:
    stripes = np.tile(np.array([0, 100], np.uint8), (2, 50))
    np.testing.assert_array_equal(resize(stripes, 8, 25), 50)


def test_resize_of_the_same_size_changes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 65535, (17, 13)).astype(np.uint16)
    np.testing.assert_array_equal(resize(pixels, 17, 13), pixels)


@given(sides, sides, sides, sides)
def test_fitted_size_fits_and_fills_one_side(rows: int, columns: int, height: int, width: int) -> None:
    fitted = fitted_size((rows, columns), height, width)
    assert 1 <= fitted[0] <= height
    assert 1 <= fitted[1] <= width
    assert fitted[0] == height or fitted[1] == width


def test_fit_pads_with_black_around_the_centre() -> None:
    tall = np.full((100, 20), 255, np.uint8)
    picture = fit(tall, 50, 50, keep_aspect=True)
    assert picture.shape == (50, 50)
    np.testing.assert_array_equal(np.flatnonzero(picture.any(axis=0)), np.arange(20, 30))
    assert (fit(tall, 50, 50, keep_aspect=False) == 255).all()


@pytest.mark.parametrize("size", [(1782, 1024), (700, 400), (1200, 1100), (1199, 1099), (40, 30), (1200, 3)], ids=str)
@pytest.mark.parametrize("part", [slice(None), slice(37, -5)], ids=["whole", "part"])
def test_shrinking_is_resizing(size: tuple[int, int], part: slice) -> None:
    pixels = np.random.default_rng(0).integers(0, 2**16, (2400, 1300)).astype(np.uint16)[part, part]
    difference = shrink(pixels, *size).astype(int) - resize(pixels, *size)
    assert np.abs(difference).max() <= 65535 * 2.5e-3  # OpenCV leaves out weights below 0.001
    assert np.abs(difference).mean() < 0.5
