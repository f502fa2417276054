"""What a decoding worker does for one image. Imports no torch and no pandas: every worker process pays for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsna.config import ImagingSpec
from rsna.errors import RsnaError
from rsna.imaging import load_image, write_png


@dataclass(frozen=True)
class PictureTask:
    """One picture to make: from the file `source` to the file `target`."""

    source: Path
    target: Path

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


def write_picture(task: PictureTask, spec: ImagingSpec) -> bytes:
    """Make one picture in a worker, which also compresses and writes it: the parent would be the bottleneck.

    Returns:
        Nothing, or in UTF-8 why the picture could not be written, which is no fault of the image and ends the run.

    Raises:
        ImageError: Where the source cannot be used.
    """
    pixels = load_image(task.source, spec)
    try:
        write_png(task.target, pixels)
    except (OSError, RsnaError) as error:
        return str(error).encode()
    return b""
