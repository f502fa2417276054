"""Boxes, crops and sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import as_strided

from rsna.imaging.compiled import compiled

LARGE = 2**20  # pixels
SLACK = 0.01  # pixels
RESIZABLE = ("uint8", "uint16", "int16", "float32")  # what OpenCV resizes


@dataclass(frozen=True)
class Box:
    """A part of an image: rows top to bottom - 1, columns left to right - 1, in pixels."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def whole(cls, shape: tuple[int, ...]) -> Box:
        """The box of a whole image of (rows, columns)."""
        return cls(0, 0, shape[0], shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    def scale(self, vertical: float, horizontal: float) -> Box:
        """The smallest box of whole pixels that covers this one in an image of another size."""
        return Box(
            math.floor(self.top * vertical),
            math.floor(self.left * horizontal),
            math.ceil(self.bottom * vertical),
            math.ceil(self.right * horizontal),
        )

    def expand(self, margin: float) -> Box:
        """Add a margin on every side, as a fraction of the box's own side."""
        rows, columns = round(self.height * margin), round(self.width * margin)
        return Box(self.top - rows, self.left - columns, self.bottom + rows, self.right + columns)

    def clip(self, shape: tuple[int, ...]) -> Box:
        """The part of the box that lies in an image of (rows, columns); `ValueError` where none does."""
        box = Box(max(self.top, 0), max(self.left, 0), min(self.bottom, shape[0]), min(self.right, shape[1]))
        if box.height < 1 or box.width < 1:
            raise ValueError(f"the region {self} lies outside the image of {shape[0]}x{shape[1]} pixels")
        return box


@dataclass(frozen=True)
class Region:
    """A box in fractions of an image's sides, so that it holds at any resolution: 0 <= xmin < xmax <= 1."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float

    @property
    def area(self) -> float:
        """The fraction of the image."""
        return (self.xmax - self.xmin) * (self.ymax - self.ymin)

    def box(self, rows: int, columns: int) -> Box:
        """The smallest box of whole pixels that covers it, to within `SLACK`: tables hold 6 decimals."""
        top = min(rows - 1, math.floor(self.ymin * rows + SLACK))
        left = min(columns - 1, math.floor(self.xmin * columns + SLACK))
        bottom, right = math.ceil(self.ymax * rows - SLACK), math.ceil(self.xmax * columns - SLACK)
        return Box(top, left, max(bottom, top + 1), max(right, left + 1))


def crop(pixels: np.ndarray, box: Box) -> np.ndarray:
    """A view of the part of `pixels` (H, W) that lies in the box."""
    return pixels[box.top : box.bottom, box.left : box.right]


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize (H, W) to (height, width): area averages where an axis shrinks, linear where it grows.

    8- and 16-bit integers keep their type, save int8, which becomes int16; others become float32.
    """
    if str(pixels.dtype) not in RESIZABLE:
        pixels = pixels.astype(np.int16 if pixels.dtype == np.int8 else np.float32)
    shrunk = min(height, pixels.shape[0]), min(width, pixels.shape[1])
    if shrunk != pixels.shape:
        pixels = cv2.resize(pixels, shrunk[::-1], interpolation=cv2.INTER_AREA)
    if (height, width) != pixels.shape:
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    return pixels


def shrink(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The same as `resize`, in half the time where it averages over more than a megapixel."""
    worthwhile = pixels.dtype == np.uint16 and pixels.size > LARGE
    shrinks = height <= pixels.shape[0] and width <= pixels.shape[1] and (height, width) != pixels.shape
    rows, step = pixels.strides
    averages = compiled("averages") if worthwhile and shrinks and step == 2 and rows > 0 else None
    if averages is None:
        return resize(pixels, height, width)
    out = np.empty((height, width), np.uint16)
    count = (pixels.shape[0] - 1) * (rows // 2) + pixels.shape[1]
    averages.average(as_strided(pixels, (count,), (2,), writeable=False), rows // 2, *pixels.shape, out)
    return out


def fitted_size(shape: tuple[int, ...], height: int, width: int) -> tuple[int, int]:
    """The largest (rows, columns) inside height x width with the proportions of `shape`."""
    scale = min(height / shape[0], width / shape[1])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def pad(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Centre (h, w) in a black (height, width)."""
    if pixels.shape == (height, width):
        return pixels
    top, left = (height - pixels.shape[0]) // 2, (width - pixels.shape[1]) // 2
    canvas = np.zeros((height, width), pixels.dtype)
    canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return canvas


def fit(pixels: np.ndarray, height: int, width: int, keep_aspect: bool) -> np.ndarray:
    """Resize (H, W) to (height, width), stretched or with its proportions kept and black around it."""
    size = fitted_size(pixels.shape, height, width) if keep_aspect else (height, width)
    return pad(resize(pixels, *size), height, width)
