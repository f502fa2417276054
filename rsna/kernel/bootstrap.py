"""Find the pushed code under any mount layout, verify it, and put it on the path.

This file is the first cell of every notebook in `kaggle_kernels/`, word for word: standard library only, and nothing of
the package, which it has yet to find.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

INPUT = Path(os.environ.get("RSNA_INPUT", "/kaggle/input"))
WORKING = Path(os.environ.get("RSNA_WORKING", "/kaggle/working"))
TEMP = Path(os.environ.get("RSNA_TEMP", "/kaggle/temp"))
BUILD_FILE = "_build.json"
MAX_JSON_BYTES = 16 * 2**20


def find_mounts(marker: str, root: Path = INPUT, depth: int = 5) -> list[Path]:
    """The folders below `root` that hold a file named `marker`, the shallowest level that has any.

    Mount paths differ between years and sessions, so what is there decides. Folders of images are not entered.
    """
    level = [root]
    for _ in range(depth):
        found = sorted(folder for folder in level if (folder / marker).is_file())
        if found:
            return found
        level = [Path(entry) for folder in level for entry in _folders(folder)]
    return []


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_dir() and not entry.name.endswith("_images")]
    except OSError:
        return []  # a mount that cannot be listed holds nothing for us


def content_hash(files: dict[str, str]) -> str:
    """One SHA-256 for a set of files, given as relative path -> SHA-256 of the file."""
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def read_mapping(path: Path) -> dict[str, Any]:
    """A JSON object that anybody may have written. Raises `RuntimeError` where it is none of at most 16 MB."""
    if not path.exists():
        raise RuntimeError(f"{path} is missing")
    try:
        if not path.is_file() or path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError(f"not a file of at most {MAX_JSON_BYTES // 2**20} MB")
        value = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")  # raises for what is no text
    except (OSError, ValueError, RecursionError) as error:
        raise RuntimeError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise RuntimeError(f"{path} is not a JSON object")
    return value


def read_build(folder: Path) -> dict[str, Any]:
    """The `_build.json` of a folder. Raises `RuntimeError` where it does not list files."""
    build = read_mapping(folder / BUILD_FILE)
    files = build.get("files")
    texts = [*files.values(), build.get("content_hash")] if isinstance(files, dict) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise RuntimeError(f"{folder / BUILD_FILE} does not list the files of a push")
    return build


def verify_files(folder: Path, files: dict[str, str]) -> list[str]:
    """What is wrong with the files of a folder: one line for each that is missing or has other bytes."""
    problems = []
    for path, digest in files.items():
        file, name = folder / path, path if path.isprintable() and len(path) < 200 else repr(path)[:200]
        if Path(path).is_absolute() or ".." in Path(path).parts:
            problems.append(f"{name}: climbs out of the folder")
        elif not is_file(file):
            problems.append(f"{name}: missing")
        elif file_hash(file) != digest:
            problems.append(f"{name}: other bytes than were pushed")
    return problems


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is of none."""
    try:
        return path.is_file()
    except OSError:
        return False


def file_hash(path: Path) -> str:
    """The SHA-256 of a file, however large."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_code(expected: str = "", root: Path = INPUT) -> tuple[Path, dict[str, Any]]:
    """Put the mounted code on `sys.path`; return its folder and its `_build.json`.

    Args:
        expected: The content hash that the push wrote into the notebook; empty takes what is mounted.
        root: Where data sets are mounted.

    Raises:
        RuntimeError: Where the code is not mounted, altered, or not the one expected.
    """
    builds = [(folder, read_build(folder)) for folder in find_mounts(BUILD_FILE, root)]
    if not builds:
        raise RuntimeError(f"no code below {root}: is the data set rsna-code attached, and was it ready at the start?")
    fitting = [(folder, build) for folder, build in builds if expected in ("", build["content_hash"])]
    if not fitting:
        mounted = ", ".join(build["content_hash"][:12] for _, build in builds)
        raise RuntimeError(f"the mounted code is {mounted}, this notebook was pushed for {expected[:12]}; push again")
    folder, build = fitting[0]
    problems = verify_files(folder, build["files"])
    if content_hash(build["files"]) != build["content_hash"]:
        problems.append(f"{BUILD_FILE}: its content hash is not that of its files")
    if problems:
        raise RuntimeError(f"the code in {folder} is not what was pushed: {'; '.join(problems[:5])}")
    sys.path.insert(0, str(folder))
    return folder, build
