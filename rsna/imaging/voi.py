"""From stored values to shown ones: modality, VOI and photometric interpretation (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2).

Each transformation maps one value to one value, so it is computed once per grey level and looked up for the pixels.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from rsna.imaging.header import Header, Lut, Window

Voi = Literal["header", "minmax"]
MAX_LEVELS = 2**16  # more grey levels than this are computed pixel by pixel
SLOPE_STEP = 16  # values over which a slope is measured: tables have steps


def render(pixels: np.ndarray, header: Header, voi: Voi, bits: int) -> np.ndarray:
    """Show stored values as a picture with black at 0.

    Args:
        pixels: Stored values, (H, W), integers or float32.
        header: What the file says about them.
        voi: `header` takes the VOI LUT, else the first window, and min-max where there is neither or where it misses
            the image; `minmax` stretches what is there.
        bits: 8 or 16 bits per pixel of the picture.

    Returns:
        (H, W) uint8 or uint16.

    Raises:
        ValueError: All values are equal, or the window is invalid.
    """
    low, high = pixels.min(), pixels.max()
    if low == high:
        raise ValueError("all pixels are equal")
    if pixels.dtype.kind not in "iu" or int(high) - int(low) >= MAX_LEVELS:
        return _render(pixels, header, voi, bits)
    table = _render(np.arange(int(low), int(high) + 1), header, voi, bits)
    if pixels.dtype.itemsize > 2 or low < 0:
        pixels = pixels.astype(np.int64) - int(low)
    else:
        table = np.pad(table, (int(low), 0))  # cheaper than a subtraction for each pixel
    return table.take(pixels, mode="clip")  # nothing is clipped: this is the mode without a copy


def grey_levels_per_value(pixels: np.ndarray, header: Header, voi: Voi) -> float:
    """The steepest rise of the shown values over the range of stored ones, in grey levels of 255 for a step of 1.

    Returns:
        0 where it is not known: for values that are not integers of a small range, or all alike.
    """
    low, high = int(pixels.min()), int(pixels.max())
    if pixels.dtype.kind not in "iu" or not 0 < high - low < MAX_LEVELS:
        return 0.0
    step = min(SLOPE_STEP, high - low)
    grey = 255 * shown(np.arange(low, high + 1), header, voi)
    return float(np.abs(grey[step:] - grey[:-step]).max()) / step


def _render(values: np.ndarray, header: Header, voi: Voi, bits: int) -> np.ndarray:
    picture = _quantise(shown(values, header, voi), bits)
    if picture.min() == picture.max():  # the window misses the image, as in some real files
        picture = _quantise(shown(values, header, "minmax"), bits)
    return picture


def has_voi(header: Header, voi: Voi) -> bool:
    """Whether a VOI LUT or window says what is black and white, rather than the lowest and highest value."""
    return voi == "header" and bool(header.voi_lut or header.windows)


def shown(values: np.ndarray, header: Header, voi: Voi) -> np.ndarray:
    """The shown values, float64 in [0, 1], 0 black, of stored ones."""
    modality = apply_modality(values, header)
    unit = _by_header(modality, header) if voi == "header" else None
    if unit is None:
        unit = _stretch(modality)
    return 1.0 - unit if header.inverted else unit


def _by_header(modality: np.ndarray, header: Header) -> np.ndarray | None:
    """The VOI LUT or the first window of the header, in [0, 1]; None where there is neither."""
    if header.voi_lut is not None:
        return look_up(modality, header.voi_lut) / header.voi_lut.top
    if header.windows:
        return np.clip(apply_window(modality, header.windows[0], header.voi_function), 0.0, 1.0)
    return None


def apply_modality(values: np.ndarray, header: Header) -> np.ndarray:
    """The output of the modality LUT, or of slope and intercept, float64."""
    if header.modality_lut is not None:
        return look_up(values, header.modality_lut).astype(np.float64)
    return values.astype(np.float64) * header.slope + header.intercept


def look_up(values: np.ndarray, lut: Lut) -> np.ndarray:
    """The entries of a table; values outside it take the first or last one."""
    index = np.floor(values.astype(np.float64) - lut.first)
    return lut.values[np.clip(index, 0, lut.values.size - 1).astype(np.intp)]


def apply_window(values: np.ndarray, window: Window, function: str) -> np.ndarray:
    """Map a window to [0, 1]; values outside [0, 1] are left for the caller to clip.

    Args:
        values: The modality's output.
        window: Centre and width in the same units.
        function: LINEAR (C.11.2.1.2.1), LINEAR_EXACT (C.11.2.1.3.2) or SIGMOID (C.11.2.1.3.1).

    Raises:
        ValueError: The width is below 1 for LINEAR, not positive for the others, or the function is unknown.
    """
    center, width = window.center, window.width
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise ValueError(f"an invalid window for {function}: center {center:g}, width {width:g}")
    if function == "LINEAR":
        if width == 1:
            return (values > center - 0.5).astype(np.float64)
        return (values - (center - 0.5)) / (width - 1) + 0.5
    if function == "LINEAR_EXACT":
        return (values - center) / width + 0.5
    if function == "SIGMOID":
        return 0.5 + 0.5 * np.tanh(2.0 * (values - center) / width)  # 1 / (1 + exp(-4 (x - c) / w)) without overflow
    raise ValueError(f"an unknown VOI LUT function: {function[:20]}")


def _stretch(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    if low == high:
        raise ValueError("all pixels are equal")
    return (values - low) / (high - low)


def _quantise(unit: np.ndarray, bits: int) -> np.ndarray:
    return np.round(unit * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
