"""What a detector sees of an image. Imports neither torch nor pandas: every decoding worker pays for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rsna.config import ImagingSpec, RoiSpec
from rsna.errors import RsnaError
from rsna.imaging import load_steps, write_png
from rsna.imaging.geometry import fitted_size
from rsna.preparation.picture import PictureTask

SIZE = 416  # pixels of the longer side, and of the detectors' square input
WHOLE_FRAME = RoiSpec(method="none", margin=0.0, min_area=0.0)
SPEC = ImagingSpec(height=SIZE, width=SIZE, bits=8, voi="minmax", roi=WHOLE_FRAME)


def load_thumbnail(path: Path) -> np.ndarray:
    """The whole frame of an image in a size of 416 pixels, dark air, stretched from its minimum to its maximum.

    Returns:
        (H, W) uint8; the longer side has 416 pixels.

    Raises:
        ImageError: Naming the file and why it cannot be used.
    """
    loaded = load_steps(path, SPEC)
    height, width = fitted_size((loaded.box.height, loaded.box.width), SIZE, SIZE)
    top, left = (SIZE - height) // 2, (SIZE - width) // 2  # where the picture was padded
    return loaded.picture[top : top + height, left : left + width]


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
