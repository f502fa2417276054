"""Augmentations that albumentations lacks, or computes in 8 bits only: all of these keep 16."""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np

from rsna.imaging import fit

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for a newer version on import
import albumentations as A


class CropAndFit(A.ImageOnlyTransform):
    """A random part of the picture, brought back to its size without changing its shape, with black beside it.

    The part has between half and all of the height, and is between half and four fifths as wide as high.
    """

    def apply(self, img: np.ndarray, top: float, left: float, scale: float, aspect: float, **_: Any) -> np.ndarray:
        """Cut and fit pixels (h, w)."""
        height, width = img.shape[:2]
        rows = max(round(scale * height), 1)
        columns = min(max(round(aspect * rows), 1), width)
        y, x = round(top * (height - rows)), round(left * (width - columns))
        return fit(np.ascontiguousarray(img[y : y + rows, x : x + columns]), height, width, keep_aspect=True)

    def get_params(self) -> dict[str, Any]:
        """Draw the part: its place and scale as fractions, and its width by its height."""
        draw = self.py_random.uniform
        return {"top": draw(0, 1), "left": draw(0, 1), "scale": draw(0.5, 1), "aspect": draw(0.5, 0.8)}


class ToneCurve(A.ImageOnlyTransform):
    """Bends the grey levels along a random cubic from black to white.

    Args:
        scale: Deviation of the two inner points of the curve from the straight line.
        p: How often.
    """

    def __init__(self, scale: float = 0.1, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.scale = scale

    def apply(self, img: np.ndarray, low: float, high: float, **_: Any) -> np.ndarray:
        """Bend the grey levels of pixels (h, w)."""
        top = np.iinfo(img.dtype).max
        t = np.linspace(0, 1, top + 1)
        curve = 3 * (1 - t) ** 2 * t * low + 3 * (1 - t) * t**2 * high + t**3
        return np.rint(curve * top).astype(img.dtype)[img]

    def get_params(self) -> dict[str, Any]:
        """Draw the inner points' heights."""
        low, high = (float(np.clip(self.py_random.gauss(mean, self.scale), 0, 1)) for mean in (0.25, 0.75))
        return {"low": low, "high": high}


class Downscale(A.ImageOnlyTransform):
    """Takes resolution away: makes the picture smaller and large again.

    Args:
        scales: The smallest and the largest factor.
        p: How often.
    """

    def __init__(self, scales: tuple[float, float], p: float = 0.5) -> None:
        super().__init__(p=p)
        self.scales = scales

    def apply(self, img: np.ndarray, scale: float, **_: Any) -> np.ndarray:
        """Blur pixels (h, w)."""
        small = cv2.resize(img, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, img.shape[1::-1], interpolation=cv2.INTER_LINEAR)

    def get_params(self) -> dict[str, Any]:
        """Draw the factor."""
        return {"scale": self.py_random.uniform(*self.scales)}


class Noise(A.ImageOnlyTransform):
    """Adds normal noise.

    Args:
        deviations: The smallest and the largest deviation, as fractions of white.
        p: How often.
    """

    def __init__(self, deviations: tuple[float, float], p: float = 0.5) -> None:
        super().__init__(p=p)
        self.deviations = deviations

    def apply(self, img: np.ndarray, deviation: float, seed: int, **_: Any) -> np.ndarray:
        """Add noise to pixels (h, w)."""
        top = np.iinfo(img.dtype).max
        noise = np.random.default_rng(seed).standard_normal(img.shape, np.float32)
        return np.clip(img + deviation * top * noise, 0, top).astype(img.dtype)

    def get_params(self) -> dict[str, Any]:
        """Draw the deviation, and what the noise is drawn from."""
        return {"deviation": self.py_random.uniform(*self.deviations), "seed": self.py_random.getrandbits(62)}
