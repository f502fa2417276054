"""Install wheels with the internet off: restore `.tmp` names, then install by hash only what is missing.

Kaggle unpacks archives in data sets, so what is not a wheel travels under a `.tmp` name; `lock.json` knows the names.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import shutil
import sys
import sysconfig
from dataclasses import astuple, dataclass
from pathlib import Path

from rsna.kernel.bootstrap import INPUT, file_hash, find_mounts, is_file, read_mapping
from rsna.kernel.requirements import NEVER, installed_packages, normalise, run_pip, unmet

logger = logging.getLogger(__name__)

LOCK_FILE = "lock.json"
TEMPORARY = ".tmp"
_NAME, _VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}"), re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,100}")
_WHEEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,240}\.whl")


@dataclass(frozen=True)
class LockedWheel:
    """One line of the lock: what is installed, from which file, with which bytes.

    Attributes:
        requirement: What was asked for, such as `timm>=1.0.15`; an installed package that fulfils it stays.
    """

    name: str
    version: str
    file: str
    sha256: str
    requirement: str = ""


def read_lock(folder: Path) -> list[LockedWheel]:
    """The wheels that a folder's `lock.json` names. Raises `RuntimeError` where it is not a lock."""
    try:
        rows = read_mapping(folder / LOCK_FILE)["wheels"]
        wheels = [
            LockedWheel(row["name"], row["version"], row["file"], row["sha256"], row.get("requirement", ""))
            for row in rows
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise RuntimeError(f"{folder / LOCK_FILE} is not a lock of wheels: {error!r}") from error
    for wheel in wheels:
        if problem := _refusal(wheel):
            raise RuntimeError(f"{folder / LOCK_FILE}: {problem}; build the wheels again")
    return wheels


def _refusal(wheel: LockedWheel) -> str:
    """Why a line of a lock is not taken, since anybody may have written it and pip is told what it says."""
    if not all(isinstance(value, str) for value in astuple(wheel)):
        return f"{str(wheel)[:200]} is not made of text"
    if not _WHEEL.fullmatch(wheel.file) or not re.fullmatch(r"[0-9a-f]{64}", wheel.sha256):
        return f"{wheel.file[:200]!r} is not the name of a wheel with a SHA-256"
    if not _NAME.fullmatch(wheel.name) or not _VERSION.fullmatch(wheel.version):
        return f"{wheel.name[:100]!r} {wheel.version[:100]!r} is not a name and a version"
    if normalise(wheel.name) in NEVER:
        return f"it names {wheel.name}, which is always the image's own"
    return ""


def find_wheels(root: Path = INPUT) -> Path:
    """The mounted folder of wheels: a data set or the output of the library kernel."""
    found = find_mounts(LOCK_FILE, root)
    if not found:
        raise RuntimeError(f"no {LOCK_FILE} below {root}: attach the kernel rsna-library or the data set rsna-wheels")
    return found[0]


def missing_wheels(wheels: list[LockedWheel]) -> list[LockedWheel]:
    """Those that are not installed, or not in a version that was asked for; what the image has is left alone."""
    installed = installed_packages()
    return [wheel for wheel in wheels if unmet(wheel.requirement or wheel.name, installed)]


def stored_file(folder: Path, wheel: LockedWheel) -> Path | None:
    """Where a folder holds a locked file, under its own or its `.tmp` name; None where it does not."""
    return next((p for p in (folder / wheel.file, folder / (wheel.file + TEMPORARY)) if is_file(p)), None)


def verify_wheels(folder: Path) -> list[str]:
    """What is wrong with the files of a folder of wheels: one line for each that is missing or has other bytes."""
    problems = []
    for wheel in read_lock(folder):
        path = stored_file(folder, wheel)
        if path is None:
            problems.append(f"{wheel.file} is missing")
        elif file_hash(path) != wheel.sha256:
            problems.append(f"{wheel.file} has other bytes than were locked")
    return problems


def restore_names(source: Path, wheels: list[LockedWheel], target: Path) -> None:
    """Link (or copy) the locked files into `target` under their real names; the mount itself is read-only."""
    target.mkdir(parents=True, exist_ok=True)
    for wheel in wheels:
        stored = stored_file(source, wheel)
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
    built_for = read_mapping(source / LOCK_FILE).get("python", "")
    if built_for not in ("", sysconfig.get_python_version()):
        raise RuntimeError(
            f"the wheels of {source} are for Python {built_for}, this is {sysconfig.get_python_version()}:"
            " the image has changed, so run the kernel rsna-library again"
        )
    restore_names(source, wheels, target)
    requirements = target / "requirements.txt"
    requirements.write_text("".join(f"{w.name}=={w.version} --hash=sha256:{w.sha256}\n" for w in wheels))
    place = ["--target", str(site)] if site else []
    offline = ["--no-index", "--no-deps", "--require-hashes", "--find-links", str(target)]
    try:
        run_pip("install", "--quiet", *offline, *place, "-r", str(requirements))
    except RuntimeError as error:
        raise RuntimeError(f"the wheels of {source} cannot be installed: {error}") from error
    if site:
        sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    logger.info("installed %s", ", ".join(f"{w.name} {w.version}" for w in wheels))
    return wheels
