"""Where things lie: from a point in the breast to a pixel of a view."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Length = TypeVar("Length", float, np.ndarray)

OBLIQUE = math.radians(45)  # the tilt of the mediolateral oblique view


@dataclass(frozen=True)
class Frame:
    """The picture plane of one exposure, chest wall at the left border, before it is mirrored for a right breast.

    Attributes:
        shape: (rows, columns).
        pitch: mm per pixel.
        nipple_row: Row of the nipple's level, in pixels.
        chest_shift: How far the breast is pulled in from the border, mm; negative where the chest wall is cut off.
    """

    shape: tuple[int, int]
    pitch: float
    nipple_row: float
    chest_shift: float

    def at_pitch(self, pitch: float) -> Frame:
        """The same plane on another grid."""
        factor = self.pitch / pitch
        rows, columns = (max(1, round(side * factor)) for side in self.shape)
        return Frame((rows, columns), pitch, self.nipple_row * factor, self.chest_shift)

    @property
    def depths(self) -> np.ndarray:
        """Depth from the chest wall of each column's centre, mm (W,) float32."""
        return ((np.arange(self.shape[1]) + 0.5) * self.pitch - self.chest_shift).astype(np.float32)

    @property
    def heights(self) -> np.ndarray:
        """Height above the nipple of each row's centre, mm (H,) float32; the first rows are the upper ones."""
        return ((self.nipple_row - np.arange(self.shape[0]) - 0.5) * self.pitch).astype(np.float32)

    @property
    def origin(self) -> tuple[int, int]:
        """(row, column) of the pixel at the chest wall on the nipple's level; may lie outside the picture."""
        return round(self.nipple_row), round(self.chest_shift / self.pitch)

    def pixel(self, depth: float, height: float) -> tuple[float, float]:
        """(row, column) of a point of the plane given in mm."""
        return self.nipple_row - height / self.pitch - 0.5, (depth + self.chest_shift) / self.pitch - 0.5


def project(view: str, lateral: Length, vertical: Length) -> Length:
    """The height in the picture of points beside (outwards) and above the nipple. Depth is the same in all views."""
    if view == "CC":
        return lateral
    if view in ("ML", "LM"):
        return vertical
    return vertical * math.cos(OBLIQUE) + lateral * math.sin(OBLIQUE)
