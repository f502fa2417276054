"""How little of a JPEG 2000 picture is enough: the resolution, and the bit planes that nobody would see.

Sample i of a picture that was halved k times lies on pixel 2**k * i of the full one (ISO/IEC 15444-1 annex F), not in
the middle of the 2**k pixels that an average would be made of. The crop makes up for that shift.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from rsna.config import ImagingSpec
from rsna.imaging.geometry import Box, fitted_size
from rsna.imaging.header import Header
from rsna.imaging.voi import Voi, grey_levels_per_value, has_voi

# Samples of the region for each pixel of the picture, along each side, at least: wavelets halve a picture more sharply
# than averages do, and that shows where there is no averaging left.
FINER = 1.3
TOLERANCE = 1.0  # grey levels of 255: what the lowest bit plane that is kept of the finest details may change at most
PLANES_FOR_EXTREMES = 2  # more are kept where min and max decide on every grey level


def target_size(box: Box, spec: ImagingSpec) -> tuple[int, int]:
    """Rows and columns of a region in the picture, without its black margins."""
    if spec.keep_aspect:
        return fitted_size((box.height, box.width), spec.height, spec.width)
    return spec.height, spec.width


def choose_level(box: Box, shape: tuple[int, int], spec: ImagingSpec, levels: int) -> tuple[int, Box]:
    """How often the frame can be halved so that the region is still larger than in the picture (by `FINER`).

    Args:
        box: The region, in the full frame.
        shape: Rows and columns of the full frame.
        spec: The picture.
        levels: The most that the stream allows.

    Returns:
        The level, and the region on its grid: its sides become multiples of 2**level.
    """
    for level in range(levels, 0, -1):
        if min(shape) >> level and min(box.height, box.width) >> level:
            aligned = _align(box, shape, level)
            rows, columns = target_size(aligned, spec)
            if aligned.height >> level >= FINER * rows and aligned.width >> level >= FINER * columns:
                return level, aligned
    return 0, box


def _align(box: Box, shape: tuple[int, int], level: int) -> Box:
    top, bottom = _align_side(box.top, box.bottom, shape[0], level)
    left, right = _align_side(box.left, box.right, shape[1], level)
    return Box(top, left, bottom, right)


def _align_side(start: int, end: int, size: int, level: int) -> tuple[int, int]:
    """Move the start to where samples need the least shift, and the end to a multiple of 2**level behind it."""
    step, lead = 1 << level, (1 << level >> 1) - 1
    start = max(0, (start + lead) // step * step - lead)
    count = min(math.ceil((end - start) / step), (size - start) // step)
    return start, start + max(1, count) * step


def crop_level(pixels: np.ndarray, box: Box, level: int) -> np.ndarray:
    """The part of a picture that was halved `level` times that a box of the full frame covers."""
    if level and pixels.dtype not in (np.uint16, np.int16):
        pixels = pixels.astype(np.float32)  # 8 bits would be rounded, 32 bits are not mixed by OpenCV
    return _shift(_shift(pixels, box.top, box.height, level, axis=0), box.left, box.width, level, axis=1)


def _shift(pixels: np.ndarray, start: int, size: int, level: int, axis: int) -> np.ndarray:
    """Crop one axis; between two samples, take their weighted mean."""
    first, part = divmod(2 * start - 1 + (1 << level), 2 << level)  # (start - 1/2) / 2**level + 1/2, in samples
    count, weight = max(1, size >> level), part / (2 << level)
    here = _slice(pixels, first, count, axis)
    return cv2.addWeighted(here, 1 - weight, _slice(pixels, first + 1, count, axis), weight, 0) if weight else here


def _slice(pixels: np.ndarray, first: int, count: int, axis: int) -> np.ndarray:
    """A view of a part of one axis; beyond its end, the last sample again."""
    if first + count > pixels.shape[axis]:
        return pixels.take(np.arange(first, first + count), axis, mode="clip")
    return pixels[first : first + count] if axis == 0 else pixels[:, first : first + count]


def spare_planes(thumbnail: np.ndarray, header: Header, voi: Voi, shrink: float) -> int:
    """How many bit planes of the finest details can be left out without changing the picture by more than `TOLERANCE`.

    Args:
        thumbnail: Stored values of the frame.
        header: What the file says about them.
        voi: As in `ImagingSpec`.
        shrink: How often a pixel of the picture is the side of a sample: errors average out.
    """
    slope = grey_levels_per_value(thumbnail, header, voi)
    if slope <= 0:
        return 0
    planes = math.floor(math.log2(TOLERANCE * max(1.0, shrink) / slope))
    return max(0, planes if has_voi(header, voi) else planes - PLANES_FOR_EXTREMES)
