"""What a decoding worker does for one image. Imports no torch and no pandas: every worker process pays for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsna.config import ImagingSpec
from rsna.errors import RsnaError
from rsna.imaging import Box, load_image, write_png
from rsna.imaging.container import parse_dicom, read_content
from rsna.imaging.png import PNG_START
from rsna.imaging.reasons import naming
from rsna.preparation.readers import Reader, readable


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
        """The smallest box of whole pixels that covers it."""
        return Box(
            math.floor(self.ymin * rows),
            math.floor(self.xmin * columns),
            math.ceil(self.ymax * rows),
            math.ceil(self.xmax * columns),
        )


@dataclass(frozen=True)
class PictureTask:
    """One picture to make: from the file `source` to the file `target`, of its `region` where that is known."""

    source: Path
    target: Path
    region: Region | None = None

    def is_done(self) -> bool:
        """Whether the picture is there and its source, if that is still there, has not changed since."""
        try:
            made = self.target.stat().st_mtime_ns
        except OSError:
            return False
        try:
            return self.source.stat().st_mtime_ns <= made
        except OSError:
            return True


def write_picture(task: PictureTask, spec: ImagingSpec, reader: Reader = "header") -> bytes:
    """Make one picture in a worker, which also compresses and writes it: the parent would be the bottleneck.

    Returns:
        Nothing, or in UTF-8 why the picture could not be written, which is no fault of the image and ends the run.

    Raises:
        ImageError: Where the source cannot be used.
    """
    pixels = make_picture(task.source, spec, reader, task.region)
    try:
        write_png(task.target, pixels)
    except (OSError, RsnaError) as error:
        return str(error).encode()
    return b""


def make_picture(
    source: Path, spec: ImagingSpec, reader: Reader = "header", region: Region | None = None
) -> np.ndarray:
    """The picture (spec.height, spec.width) of a file, of its region (plus `spec.roi.margin`) where that is known.

    Raises:
        ImageError: Where the source cannot be used.
    """
    with readable(source, reader) as path:
        box = None
        if region is not None:
            with naming(source):
                box = region.box(*_frame_size(path)).expand(spec.roi.margin)
        return load_image(path, spec, box)


def _frame_size(path: Path) -> tuple[int, int]:
    """Rows and columns of a file's image, from its header; raises `ValueError` where it has none."""
    content = read_content(path)
    if content.startswith(PNG_START):
        columns, rows = (int.from_bytes(content[i : i + 4], "big") for i in (16, 20))
        return rows, columns
    header = parse_dicom(content).header
    return header.rows, header.columns
