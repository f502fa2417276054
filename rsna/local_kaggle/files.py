"""Trees of files: listed without following a link, cleaned of what is no plain file, zipped."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rsna.io import atomic_path


@dataclass(frozen=True)
class File:
    """A file of a data set, a competition or an output: its name with `/` between folders, and where it lies."""

    name: str
    path: Path
    size: int
    modified: float


def list_files(folder: Path, prefix: str = "") -> list[File]:
    """The plain files below a folder in the order of their names; none where there is no folder.

    Links are left out, since a notebook can leave one that leads anywhere on this machine, and so are names that no
    address can hold.
    """
    return sorted(_walk(folder, prefix), key=lambda file: file.name)


def _walk(folder: Path, prefix: str) -> Iterator[File]:
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and _is_text(str(path)):
                yield File(prefix + path.relative_to(folder).as_posix(), path, status.st_size, status.st_mtime)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def remove_links(folder: Path) -> None:
    """Delete everything below a folder that is neither a plain file nor a folder, and unlock its folders."""
    _unlock(folder)
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(root, name)
            if not stat.S_ISREG(mode := path.lstat().st_mode) and not stat.S_ISDIR(mode):
                path.unlink()


def remove_tree(folder: Path) -> None:
    """Delete a folder and what is in it, also folders that a notebook has locked; nothing if it is not there."""
    _unlock(folder)
    if folder.exists():
        shutil.rmtree(folder)


def _unlock(folder: Path) -> None:
    for root, folders, _ in os.walk(folder):
        for path in (Path(root, name) for name in folders):
            if not path.is_symlink():
                path.chmod(0o700)


def total_size(files: Iterable[File]) -> int:
    """In bytes."""
    return sum(file.size for file in files)


def write_zip(target: Path, files: Iterable[File]) -> None:
    """Write files into a zip archive under their names, uncompressed, atomically."""
    with atomic_path(target) as part, zipfile.ZipFile(part, "w") as archive:
        for file in files:
            archive.write(file.path, file.name)
