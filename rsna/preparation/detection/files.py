"""The images of a folder by their ids, and the thumbnails of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from rsna.errors import InputError
from rsna.imaging import DecodePool, Outcome, load_thumbnail
from rsna.imaging.load import MEMORY_LIMIT, TIME_LIMIT
from rsna.preparation.box_formats import image_name

SUFFIXES = (".dcm", ".dicom", ".png")


def list_images(folder: Path) -> dict[str, Path]:
    """The images in a folder and all that is below it, by id (the name without suffix), in the order of their paths.

    Raises:
        InputError: Where there are none, or two of one id.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; name the folder of the images")
    found: dict[str, Path] = {}
    for path in _walk(folder):
        name = image_name(path.name)
        if name in found:
            raise InputError(f"{found[name]} and {path} are both images of the id {name!r}; name one of their folders")
        found[name] = path
    if not found:
        raise InputError(f"{folder} holds no images ({', '.join(SUFFIXES)})")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            if file.lower().endswith(SUFFIXES) and not file.startswith("."):
                yield Path(root, file)


def load_thumbnails(paths: Iterable[Path], workers: int) -> Iterator[Outcome[Path]]:
    """Thumbnails in worker processes, in order; an unusable image is an outcome with an error."""
    with DecodePool(load_thumbnail, workers, TIME_LIMIT, MEMORY_LIMIT) as pool:
        yield from pool.map(paths)
