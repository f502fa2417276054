"""Files: atomic writes, bounded reads of JSON and YAML, hashes, and names made of ids."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from rsna.errors import InputError

MAX_TEXT_BYTES = 64 * 1024 * 1024  # a JSON or YAML file of a data set is hostile until read: no bigger than this


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


def read_text(path: str | Path) -> str:
    """Read a UTF-8 file of at most 64 MB, or raise `InputError`."""
    source = Path(path)
    try:
        if source.stat().st_size > MAX_TEXT_BYTES:
            raise InputError(f"{source} is larger than {MAX_TEXT_BYTES // 2**20} MB; it cannot be what it should be")
        return source.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is not UTF-8 text") from error


def read_json(path: str | Path) -> Any:
    """Read JSON, or raise `InputError` naming the file and the line."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise InputError(f"{path} is not valid JSON: {error}") from error


def read_yaml(path: str | Path) -> Any:
    """Read YAML without object tags, or raise `InputError` naming the file and the line."""
    text = read_text(path)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise InputError(f"{path} uses YAML aliases, which can grow without bound; write the values out")
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:  # `!!int ''`, 2001-99-99
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


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
