"""What a decoding worker does for one image. Imports no torch and no pandas: every worker process pays for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsna.config import ImagingSpec
from rsna.errors import RsnaError
from rsna.imaging import Region, RegionFinder, load_steps, write_png
from rsna.preparation.readers import Reader, readable


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


@dataclass(frozen=True)
class Written:
    """What became of a picture that could be made.

    Attributes:
        detected: Whether a detector has found its region.
        trouble: Empty, or why it could not be written, which is no fault of the image and ends the run.
    """

    detected: bool
    trouble: str = ""


def write_picture(
    task: PictureTask, spec: ImagingSpec, reader: Reader = "header", finder: RegionFinder | None = None
) -> Written:
    """Make one picture in a worker, which also compresses and writes it: the parent would be the bottleneck.

    Raises:
        ImageError: Where the source cannot be used.
    """
    with readable(task.source, reader) as path:
        loaded = load_steps(path, spec, task.region, finder)
    try:
        write_png(task.target, loaded.picture)
    except (OSError, RsnaError) as error:
        return Written(loaded.detected, str(error))
    return Written(loaded.detected)
