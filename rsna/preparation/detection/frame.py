"""Thumbnails as networks take them, and boxes between their pixels and fractions of the image."""

from __future__ import annotations

import numpy as np

from rsna.preparation.detection.thumbnail import SIZE
from rsna.preparation.picture import Region

FILL = 114  # grey, as YOLOX pads


def letterbox(thumbnail: np.ndarray) -> np.ndarray:
    """A thumbnail (H, W) uint8 in the upper left corner of a grey square (416, 416) uint8."""
    square = np.full((SIZE, SIZE), FILL, np.uint8)
    square[: thumbnail.shape[0], : thumbnail.shape[1]] = thumbnail
    return square


def to_region(box: np.ndarray, shape: tuple[int, int]) -> Region | None:
    """The part of a thumbnail of (rows, columns) that a box (4,) in its pixels covers; None where it covers none."""
    limits = np.array([shape[1], shape[0], shape[1], shape[0]], np.float64)
    if not np.isfinite(box).all():
        return None
    xmin, ymin, xmax, ymax = (np.clip(box, 0, limits) / limits).tolist()
    return Region(xmin, ymin, xmax, ymax) if xmin < xmax and ymin < ymax else None


def to_pixels(region: Region, shape: tuple[int, int]) -> np.ndarray:
    """The box (4,) float32 of a region in the pixels of a thumbnail of (rows, columns)."""
    rows, columns = shape
    sides = (region.xmin * columns, region.ymin * rows, region.xmax * columns, region.ymax * rows)
    return np.array(sides, np.float32)
