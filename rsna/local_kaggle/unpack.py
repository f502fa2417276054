"""Unpacking as Kaggle does with uploaded archives, of input that may be hostile.

Kaggle unpacks zip and tar archives, and those inside them, into folders, and decompresses single `.gz` files, whatever
they are for: an sdist does not survive in a data set, nor does a `.pt`, which is a zip archive. It looks at the
content; wheels, and archives that somebody renamed to `.tmp`, are known to survive.
"""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from rsna.errors import RsnaError
from rsna.local_kaggle.files import remove_tree

SURVIVORS = (".whl", ".tmp", ".npz", ".keras", ".xlsx", ".docx", ".jar")
CHUNK = 1024 * 1024
MAX_NAME = 1000  # characters
MAX_DEPTH = 6  # of archives in archives
RATIO = 100  # of unpacked to packed bytes; deflated zeros have 1000
ALLOWANCE = 256 * 1024 * 1024  # what may be unpacked of a small file whatever its ratio

Kind = Literal["zip", "gzip", "tar"]
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, OverflowError, RuntimeError),  # what headers without sense make zipfile and tarfile raise
)


class UnpackError(RsnaError):
    """An upload that cannot become part of a data set; says which entry and why."""


@dataclass
class Budget:
    """How much one data set version may still grow on disk."""

    bytes: int
    files: int

    def spend(self, count: int, where: str) -> None:
        """Take `count` bytes."""
        self.bytes -= count
        if self.bytes < 0:
            raise UnpackError(f"{where}: unpacks to more than its size allows; is it a decompression bomb?")

    def spend_file(self, where: str) -> None:
        """Take one file or folder."""
        self.files -= 1
        if self.files < 0:
            raise UnpackError(f"{where}: too many files")


class Unpacker:
    """Places uploads in the folder of a data set version."""

    def __init__(
        self, folder: Path, max_bytes: int, max_files: int, any_name: bool = False, wrap: bool = False
    ) -> None:
        """Prepare to fill a folder.

        Args:
            folder: To fill; made here.
            max_bytes: The most that one upload may become.
            max_files: The most files in all.
            any_name: Unpack archives under every name, `SURVIVORS` included.
            wrap: Put one more folder around the files of an archive.
        """
        self.folder = folder
        self.max_bytes = max_bytes
        self.files = max_files
        self.any_name = any_name
        self.wrap = wrap
        self.scratch = folder.with_name(folder.name + ".scratch")
        folder.mkdir(parents=True)
        self.scratch.mkdir()
        self.count = 0

    def add(self, source: Path, name: str) -> None:
        """Place one upload, unpacked if it is an archive. `source` stays.

        Raises:
            UnpackError: For a name that climbs out, a link, a device, two entries of one name, too many bytes or files.
        """
        size = source.stat().st_size
        budget = Budget(max(size, min(self.max_bytes, ALLOWANCE + RATIO * size)), self.files)
        try:
            self._place(source, safe_path(name), budget, depth=0)
        except DAMAGE as error:
            raise UnpackError(f"{name}: damaged archive ({error})") from error
        except OSError as error:
            if error.errno not in (None, errno.EINVAL):  # bz2 gives no number; an offset before the file is invalid
                raise
            raise UnpackError(f"{name}: damaged archive ({error})") from error
        self.files = budget.files

    def close(self) -> None:
        """Remove what was needed while unpacking."""
        remove_tree(self.scratch)

    def _place(self, source: Path, name: Path, budget: Budget, depth: int) -> None:
        kind = sniff(source, name.name, self.any_name)
        if kind and depth >= MAX_DEPTH:
            raise UnpackError(f"{name}: archives inside archives, more than {MAX_DEPTH} deep")
        if kind is None:
            budget.spend_file(str(name))
            _link(source, self.folder, name)
        elif kind == "gzip":
            self._gunzip(source, name, budget, depth)
        else:
            folder = name.with_name(_stem(name.name))
            unpack = self._unzip if kind == "zip" else self._untar
            unpack(source, folder / folder.name if self.wrap else folder, budget, depth)

    def _gunzip(self, source: Path, name: Path, budget: Budget, depth: int) -> None:
        bare = name.with_suffix("") if name.suffix.lower() in (".gz", ".tgz") else name
        with gzip.open(source) as stream:
            self._entry(stream, bare, budget, depth)

    def _unzip(self, source: Path, folder: Path, budget: Budget, depth: int) -> None:
        self._make(folder, budget)
        with zipfile.ZipFile(source) as archive:
            for info in archive.infolist():
                name = folder / safe_path(info.filename)
                if stat.S_ISLNK(info.external_attr >> 16):
                    raise UnpackError(f"{name}: a link; a data set holds plain files only")
                if info.filename.endswith("/"):
                    self._make(name, budget)
                else:
                    with archive.open(info) as stream:
                        self._entry(stream, name, budget, depth)

    def _untar(self, source: Path, folder: Path, budget: Budget, depth: int) -> None:
        self._make(folder, budget)
        with tarfile.open(source, "r:") as archive:
            for member in archive:
                name = folder / safe_path(member.name)
                if member.isdir():
                    self._make(name, budget)
                elif member.isreg() and (stream := archive.extractfile(member)):
                    self._entry(stream, name, budget, depth)
                else:
                    raise UnpackError(f"{name}: a link or a device; a data set holds plain files only")

    def _entry(self, stream: IO[bytes] | gzip.GzipFile, name: Path, budget: Budget, depth: int) -> None:
        """Copy an entry out of its archive, then place it, unpacked if it is an archive itself."""
        self.count += 1
        copy = self.scratch / str(self.count)
        with copy.open("wb") as file:
            while chunk := stream.read(CHUNK):
                budget.spend(len(chunk), str(name))
                file.write(chunk)
        self._place(copy, name, budget, depth + 1)
        copy.unlink()

    def _make(self, folder: Path, budget: Budget) -> None:
        budget.spend_file(str(folder))
        _guarded(lambda: (self.folder / folder).mkdir(parents=True, exist_ok=True), folder)


def safe_path(name: str) -> Path:
    """The relative path that an entry's name means, or `UnpackError` where it leads out of the folder."""
    if len(name) > MAX_NAME:
        raise UnpackError(f"{name[:100]!r}...: the name of an entry is too long")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or any(ord(character) < 32 for character in name):
        raise UnpackError(f"{name!r}: the name of an entry leads out of the data set")
    return Path(*parts)


def sniff(path: Path, name: str, any_name: bool = False) -> Kind | None:
    """What kind of archive a file is, by its content; None for a file that stays as it is."""
    if not any_name and name.lower().endswith(SURVIVORS):
        return None
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head[257:262] == b"ustar" and tarfile.is_tarfile(path):
        return "tar"
    return "zip" if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) and _is_open_zip(path) else None


def _is_open_zip(path: Path) -> bool:
    """Whether a file is a zip archive that needs no password."""
    try:
        with zipfile.ZipFile(path) as archive:
            return not any(info.flag_bits & 1 for info in archive.infolist())
    except DAMAGE:
        return False


def _stem(name: str) -> str:
    return Path(name).stem if Path(name).suffix.lower() in (".zip", ".tar", ".pt", ".pth") else name


def _link(source: Path, folder: Path, name: Path) -> None:
    target = folder / name

    def place() -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)

    _guarded(place, name)


def _guarded(action: Callable[[], None], name: Path) -> None:
    try:
        action()
    except (FileExistsError, NotADirectoryError) as error:
        raise UnpackError(f"{name}: two entries of one name") from error
    except OSError as error:
        raise UnpackError(f"{name}: {error.strerror}") from error
