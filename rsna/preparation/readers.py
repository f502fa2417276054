"""Files that cannot be shown as they are become a grey PNG, for the one function that makes pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import cv2
import numpy as np

from rsna.errors import RsnaError
from rsna.imaging.container import read_content
from rsna.imaging.header import MAX_PIXELS
from rsna.imaging.png import PNG_START, decode_png
from rsna.imaging.reasons import naming

Reader = Literal["header", "stretched"]
"""How grey values of a file are to be read: as its header says (DICOM; a PNG is shown as it is), or stretched."""

JPEG_START = b"\xff\xd8\xff"
TOP = 0.99  # quantile: scanned films bear labels that are brighter than any tissue


@contextmanager
def readable(path: Path, reader: Reader) -> Iterator[Path]:
    """Yield a file that `rsna.imaging.load_image` reads: the file itself, or a temporary PNG of its grey values.

    Raises:
        ImageError: Where a file to be stretched is no grey PNG or JPEG, or damaged.
    """
    if reader == "header":
        yield path
        return
    with naming(path):
        content = read_content(path)
        pixels = stretch(decode_png(content) if content.startswith(PNG_START) else decode_jpeg(content))
    with TemporaryDirectory(prefix="rsna-") as folder:
        shown = Path(folder, "shown.png")
        # read once and at once: packing it would take longer
        if not cv2.imwrite(str(shown), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0]):
            raise RsnaError(
                f"cannot write the temporary file {shown}; make room there, or set TMPDIR to another folder"
            )
        yield shown


def stretch(pixels: np.ndarray) -> np.ndarray:
    """Grey values (H, W) uint8 or uint16 stretched from their minimum and 0.99 quantile to all of uint16."""
    counts = np.bincount(pixels.ravel())
    low = int(np.flatnonzero(counts)[0])
    high = max(int(np.searchsorted(np.cumsum(counts), TOP * pixels.size)), low + 1)
    values = (np.arange(len(counts), dtype=np.float64) - low) / (high - low)
    table = np.round(np.clip(values, 0, 1) * np.iinfo(np.uint16).max).astype(np.uint16)
    return table[pixels]


def decode_jpeg(content: bytes) -> np.ndarray:
    """The grey values (H, W) uint8 of a JPEG file's bytes; raises `ValueError` with the reason."""
    from PIL import Image, UnidentifiedImageError

    if not content.startswith(JPEG_START):
        raise ValueError("neither a PNG nor a JPEG file")
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"an absurd size in the JPEG header: {image.height}x{image.width} pixels")
            return np.asarray(image.convert("L"))
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(f"the JPEG data is damaged: {error}") from error
