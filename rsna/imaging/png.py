"""Grey PNG files of 8 or 16 bits."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from rsna.imaging.container import read_content
from rsna.imaging.header import MAX_PIXELS
from rsna.imaging.reasons import naming
from rsna.io import write_bytes

PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND\xae\x42\x60\x82"


def write_png(path: str | Path, pixels: np.ndarray) -> None:
    """Write a picture, (H, W) uint8 or uint16, atomically and without loss."""
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a grey PNG holds (H, W) uint8 or uint16, not {pixels.shape} {pixels.dtype}")
    _, encoded = cv2.imencode(".png", pixels)
    write_bytes(path, encoded.tobytes())


def read_png(path: str | Path) -> np.ndarray:
    """Read a grey picture, (H, W) uint8 or uint16.

    Raises:
        ImageError: It is missing, truncated, damaged, or not grey.
    """
    with naming(path):
        return decode_png(read_content(path))


def decode_png(content: bytes) -> np.ndarray:
    """The same from a file's bytes; raises `ValueError` with the reason."""
    if not content.startswith(PNG_START):
        raise ValueError("not a PNG file")
    if not content.rstrip(b"\0").endswith(PNG_END):
        raise ValueError("truncated: the PNG file has no end")
    width, height = (int.from_bytes(content[i : i + 4], "big") for i in (16, 20))
    if width * height > MAX_PIXELS:
        raise ValueError(f"an absurd size in the PNG header: {height}x{width} pixels")
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError("the PNG data is damaged") from error
    if pixels is None:
        raise ValueError("the PNG data is damaged")
    if pixels.ndim != 2:
        raise ValueError("a colour PNG; only grey ones are read")
    return pixels
