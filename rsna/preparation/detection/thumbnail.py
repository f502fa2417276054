"""Thumbnails on disk. Imports neither torch nor pandas: every decoding worker pays for it."""

from __future__ import annotations

from rsna.errors import RsnaError
from rsna.imaging import load_thumbnail, write_png
from rsna.preparation.picture import PictureTask


def write_thumbnail(task: PictureTask) -> bytes:
    """Make one thumbnail in a worker, which also writes it as a PNG file.

    Returns:
        Nothing, or in UTF-8 why it could not be written, which is no fault of the image.

    Raises:
        ImageError: Where the source cannot be used.
    """
    pixels = load_thumbnail(task.source)
    try:
        write_png(task.target, pixels)
    except (OSError, RsnaError) as error:
        return str(error).encode()
    return b""
