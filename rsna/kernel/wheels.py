"""Install wheels with the internet off: restore `.tmp` names, then install by hash only what is missing.

Kaggle unpacks archives in data sets, so what is not a wheel travels under a `.tmp` name; `lock.json` knows the names.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rsna.kernel.bootstrap import INPUT, find_mounts

logger = logging.getLogger(__name__)

LOCK_FILE = "lock.json"
TEMPORARY = ".tmp"


@dataclass(frozen=True)
class LockedWheel:
    """One line of the lock: what is installed, from which file, with which bytes."""

    name: str
    version: str
    file: str
    sha256: str


def read_lock(folder: Path) -> list[LockedWheel]:
    """The wheels that a folder's `lock.json` names. Raises `RuntimeError` where it is not a lock."""
    try:
        rows = json.loads((folder / LOCK_FILE).read_text(encoding="utf-8"))["wheels"]
        wheels = [LockedWheel(row["name"], row["version"], row["file"], row["sha256"]) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RuntimeError(f"{folder / LOCK_FILE} is not a lock of wheels: {error!r}") from error
    for wheel in wheels:
        if Path(wheel.file).name != wheel.file or not re.fullmatch(r"[0-9a-f]{64}", wheel.sha256):
            raise RuntimeError(f"{folder / LOCK_FILE}: {wheel.file!r} is not a plain file name with a SHA-256")
    return wheels


def find_wheels(root: Path = INPUT) -> Path:
    """The mounted folder of wheels: a data set or the output of the library kernel."""
    found = find_mounts(LOCK_FILE, root)
    if not found:
        raise RuntimeError(f"no {LOCK_FILE} below {root}: attach the kernel rsna-library or the data set rsna-wheels")
    return found[0]


def missing_wheels(wheels: list[LockedWheel]) -> list[LockedWheel]:
    """Those whose distribution is not installed at all; what the image has is left alone."""
    return [wheel for wheel in wheels if _installed(wheel.name) is None]


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def restore_names(source: Path, wheels: list[LockedWheel], target: Path) -> None:
    """Link (or copy) the locked files into `target` under their real names; the mount itself is read-only."""
    target.mkdir(parents=True, exist_ok=True)
    for wheel in wheels:
        stored = next((p for p in (source / wheel.file, source / (wheel.file + TEMPORARY)) if p.is_file()), None)
        if stored is None:
            raise RuntimeError(
                f"{wheel.file} is in {source / LOCK_FILE} but not in the folder; build the library again"
            )
        restored = target / wheel.file
        restored.unlink(missing_ok=True)
        try:
            os.symlink(stored, restored)
        except OSError:
            shutil.copyfile(stored, restored)


def install_missing(source: Path, target: Path, site: Path | None = None) -> list[LockedWheel]:
    """Install by hash, without index and dependencies, the locked wheels that are missing; returns them.

    Args:
        source: The folder with `lock.json`.
        target: A writable folder for the restored names and the requirements.
        site: Install into this folder instead of the interpreter's own, and put it on the path.

    Raises:
        RuntimeError: With pip's last words, where a wheel does not fit the interpreter or has other bytes.
    """
    wheels = missing_wheels(read_lock(source))
    if not wheels:
        logger.info("nothing to install: the image has every locked package")
        return []
    restore_names(source, wheels, target)
    requirements = target / "requirements.txt"
    requirements.write_text("".join(f"{w.name}=={w.version} --hash=sha256:{w.sha256}\n" for w in wheels))
    place = ["--target", str(site)] if site else []
    offline = ["--no-index", "--no-deps", "--require-hashes", "--find-links", str(target)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *offline, *place, "-r", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip could not install the wheels of {source}: {done.stderr.strip()[-800:]}")
    if site:
        sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    logger.info("installed %s", ", ".join(f"{w.name} {w.version}" for w in wheels))
    return wheels
