"""Files: atomic writes, bounded reads, hashes, and names made of ids.

A file of a data set is hostile until it is read: only regular files, never more bytes than the limit of their kind.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import yaml

from rsna.errors import InputError
from rsna.plain import parse_json, parse_yaml

MAX_TEXT_BYTES = 64 * 2**20
MAX_JSON_BYTES = 16 * 2**20  # in memory it may become twenty times that
MAX_YAML_BYTES = 2**20  # which already takes seconds


def ensure_dir(path: str | Path) -> Path:
    """Make a folder that can be written to, or raise `InputError`."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}; choose another output folder") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"the folder {folder} is not writable; choose another output folder")
    return folder


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes its name only when the block ends without an error.

    A reader never sees half a file, also after a kill. The temporary name keeps the suffix, which many writers look at.
    """
    target = Path(path)
    ensure_dir(target.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=".part-", suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}") from error
    os.close(handle)
    part = Path(name)
    try:
        yield part
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)  # mkstemp makes private files
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as part:
        part.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file atomically, with the newlines as given."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, value: Any) -> None:
    """Write indented JSON atomically. NaN and infinity are refused: no other reader would take them."""
    write_text(path, json.dumps(value, indent=2, sort_keys=False, allow_nan=False) + "\n")


def write_yaml(path: str | Path, value: Any) -> None:
    """Write YAML atomically, keys in the given order."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))


def open_file(path: str | Path, limit: int, what: str = "") -> BinaryIO:
    """Open a regular file of at most `limit` bytes for reading; a pipe or a device is refused and never waited for.

    Raises:
        InputError: Naming the file, after `what` it should be (`the table `), and why it cannot be read.
    """
    handle = -1
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe without a writer would block
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
            raise InputError(f"cannot read {what}{path}: it is {kind}, not a file")
        if status.st_size > limit:
            raise InputError(f"{path} is larger than {_size(limit)}; it cannot be what it should be")
        file = os.fdopen(handle, "rb")
    except OSError as error:
        _close(handle)
        raise InputError(f"cannot read {what}{path}: {error.strerror or error}") from error
    except ValueError as error:  # a NUL or half a surrogate pair in the name
        raise InputError(f"cannot read {what}{str(path)!r}: {error}") from error
    except InputError:
        _close(handle)
        raise
    return file


def _close(handle: int) -> None:
    if handle >= 0:
        os.close(handle)


def _size(count: int) -> str:
    return f"{count // 2**20} MB" if count >= 2**20 else f"{count} bytes"


def read_bytes(path: str | Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes, or raise `InputError`."""
    with open_file(path, limit) as file:
        try:
            content = file.read(limit + 1)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > limit:  # it grew, or its size is not known before, as in /proc
        raise InputError(f"{path} is larger than {_size(limit)}; it cannot be what it should be")
    return content


def read_text(path: str | Path, limit: int = MAX_TEXT_BYTES) -> str:
    """Read a UTF-8 file of at most `limit` bytes with any newlines, or raise `InputError`."""
    try:
        text = read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: str | Path) -> Any:
    """Read JSON as `parse_json` does, or raise `InputError` naming the file and the line."""
    return parse_json(read_text(path, MAX_JSON_BYTES), str(path))


def read_yaml(path: str | Path) -> Any:
    """Read YAML as `parse_yaml` does, or raise `InputError` naming the file and the line."""
    return parse_yaml(read_text(path, MAX_YAML_BYTES), str(path))


def sha256_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """The SHA-256 of a JSON-like value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def file_name(identifier: str) -> str:
    """An id as one safe file name: everything but letters, digits, `_`, `-`, `~` and inner dots is percent-encoded.

    Two ids never share a name, and no id can climb out of a folder.
    """
    name = quote(identifier, safe="")
    return "%2E" + name[1:] if name.startswith(".") else name or "%"
