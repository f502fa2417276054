"""Random fields with a power-law spectrum: what mammographic tissue looks like between its structures."""

from __future__ import annotations

import cv2
import numpy as np

STRAND_WIDTH = 0.07  # how far from its zero line a unit field still counts as a strand


def power_law(
    rng: np.random.Generator, shape: tuple[int, int], beta: float, origin: tuple[int, int] = (0, 0)
) -> np.ndarray:
    """A Gaussian field (H, W) float32 of mean 0 and deviation 1 with the power spectrum 1/f^beta.

    Mammograms show beta of about 3 (Burgess, Jacobson and Judy, Medical Physics 28, 2001).

    Args:
        rng: Draws the field.
        shape: (rows, columns).
        beta: How fast the power falls with the frequency.
        origin: Where the field begins: it moves with this pixel, so that two exposures of one breast agree.
    """
    height, width = (cv2.getOptimalDFTSize(side) for side in shape)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]).astype(np.float32)
    frequency[0, 0] = np.inf
    noise = rng.standard_normal((2, *frequency.shape), dtype=np.float32)
    spectrum = (noise[0] + 1j * noise[1]) * frequency ** (-beta / 2)
    field = np.fft.irfft2(spectrum, s=(height, width)).astype(np.float32)
    field /= field.std()  # its mean is 0: the spectrum is, at frequency 0
    return np.roll(field, origin, axis=(0, 1))[: shape[0], : shape[1]]  # the field is periodic, hence without a seam


def strands(field: np.ndarray, smoothing: float) -> np.ndarray:
    """Thin bright lines in [0, 1] along the zero contours of a unit field: ligaments, ducts and vessels.

    Args:
        field: (H, W).
        smoothing: Blur of the field before its contours are taken, pixels; without it they would be frayed.
    """
    return np.exp(-((cv2.GaussianBlur(field, (0, 0), smoothing) / STRAND_WIDTH) ** 2))


def enlarge(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Interpolate a picture (h, w) to (H, W)."""
    if image.shape == shape:
        return image
    return cv2.resize(image, shape[::-1], interpolation=cv2.INTER_CUBIC)


def grain(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Noise (H, W) float32 of deviation about 0.6 that is correlated over two pixels."""
    return enlarge(white(rng, ((shape[0] + 1) // 2, (shape[1] + 1) // 2)), shape)


def white(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Uncorrelated unit noise (H, W) float32."""
    return rng.standard_normal(shape, dtype=np.float32)


def soft_step(x: np.ndarray) -> np.ndarray:
    """The logistic function, which falls to 0 for large negative x; without overflow."""
    return 0.5 + 0.5 * np.tanh(x / 2)
