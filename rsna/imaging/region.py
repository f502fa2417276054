"""Finds the breast: the largest bright region on dark air.

Works on a thumbnail. Markers, tags, white frames and bright lines along the edge are left out; the noise of the air is
measured. It is meant to be too large rather than to cut.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from rsna.config import RoiSpec
from rsna.imaging.geometry import Box, resize

THUMBNAIL = 256  # pixels of the longer side, up to twice as many
BORDER = 0.1  # of a side: how thick a uniform bright border may be
THICKNESS = 0.03  # of the longer side: what is thinner (lines, letters) is not a breast
DARK = 0.25  # of the range of values: air lies in this darkest part
ABOVE_AIR = 0.02  # of the range of values: tissue is brighter than air by at least this, and by
NOISE = 5.0  # standard deviations of the air


def find_region(image: np.ndarray, spec: RoiSpec, inverted: bool = False, shape: tuple[int, int] | None = None) -> Box:
    """Find the part of an image that is worth keeping.

    Args:
        image: (H, W), air dark, any numeric type.
        spec: How to look for it.
        inverted: The air is bright instead (MONOCHROME1).
        shape: Rows and columns of the frame that `image` is a thumbnail of.

    Returns:
        The box with its margin, inside the frame; the whole frame where the region found is too small to be trusted.
    """
    shape = shape or (image.shape[0], image.shape[1])
    whole = Box.whole(shape)
    if spec.method == "none":
        return whole
    thumbnail = _thumbnail(image, inverted)
    top = float(np.percentile(thumbnail, 95))  # markers and thin frames are brighter, but smaller
    thumbnail = _without_borders(thumbnail, top)
    level = _otsu(thumbnail) if spec.method == "otsu" else _above_air(thumbnail)
    region = _largest_region(thumbnail > level)
    if region.mean() < max(spec.min_area, 1e-9):
        return whole
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    edge = int(region.shape != shape)  # a pixel of a thumbnail may hold too little breast to be noticed
    box = Box(int(rows[0]) - edge, int(columns[0]) - edge, int(rows[-1]) + 1 + edge, int(columns[-1]) + 1 + edge)
    vertical, horizontal = (side / small for side, small in zip(shape, region.shape, strict=True))
    return box.scale(vertical, horizontal).clip(shape).expand(spec.margin).clip(shape)


def thumbnail_level(shape: tuple[int, ...]) -> int:
    """How often an image of (rows, columns) is halved for its thumbnail."""
    return max(0, math.floor(math.log2(max(shape) / THUMBNAIL)))


def _thumbnail(image: np.ndarray, inverted: bool) -> np.ndarray:
    """Shrink to float32 with the air dark; every n-th pixel is enough to average over."""
    level = thumbnail_level(image.shape)
    step = 1 << max(0, level - 1)
    thumbnail = np.ascontiguousarray(image[::step, ::step])
    if level:
        thumbnail = resize(thumbnail, *(max(1, side // 2) for side in thumbnail.shape))
    thumbnail = thumbnail.astype(np.float32)
    return -thumbnail if inverted else thumbnail


def _without_borders(thumbnail: np.ndarray, top: float) -> np.ndarray:
    """Blacken bright lines along the edges that have one value from end to end, as tissue never has."""
    cleaned, low = thumbnail.copy(), float(thumbnail.min())
    for view, source in ((cleaned, thumbnail), (cleaned.T, thumbnail.T)):
        for step in (1, -1):
            for i in range(int(BORDER * len(source))):
                first, middle, last = np.percentile(source[::step][i], (5, 50, 95))
                if middle < (low + top) / 2 or last - first > 0.01 * (top - low):
                    break
                view[::step][i] = low
    return cleaned


def _above_air(thumbnail: np.ndarray) -> float:
    """A level above the air and its noise; air is the most frequent value of the dark part."""
    low, high = np.percentile(thumbnail, (1, 95))
    dark = thumbnail[thumbnail <= low + DARK * (high - low)]
    counts, edges = np.histogram(dark, bins=128)
    peak = int(counts.argmax())
    air = float(np.median(dark[(dark >= edges[peak]) & (dark <= edges[peak + 1])]))
    noise = 1.4826 * float(np.median(air - dark[dark <= air]))  # from below: above it there is tissue
    return air + max(NOISE * noise, ABOVE_AIR * (float(high) - air))


def _otsu(thumbnail: np.ndarray) -> float:
    """Otsu's level, found on square roots, which keeps the thin tissue near the skin."""
    low, high = np.percentile(thumbnail, (1, 95))
    if low == high:
        return float(low)
    roots = np.sqrt(np.clip((thumbnail - low) / (high - low), 0, 1))
    level, _ = cv2.threshold(np.round(255 * roots).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    return float(low + (high - low) * (level / 255) ** 2)


def _largest_region(mask: np.ndarray) -> np.ndarray:
    """The largest region of a boolean mask after everything thin is gone, its own thin ends kept."""
    thickness = max(1, round(THICKNESS * max(mask.shape)))
    kernel = np.ones((thickness, thickness), np.uint8)
    padded = np.pad(mask.astype(np.uint8), thickness)  # so that a line along the edge is thin, too
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    if count < 2:
        return np.zeros_like(mask)
    largest = (labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    near = cv2.dilate(largest, np.ones((2 * thickness + 1, 2 * thickness + 1), np.uint8))
    return ((near & padded) > 0)[thickness:-thickness, thickness:-thickness]
