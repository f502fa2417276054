"""Build the offline wheels: for this interpreter (the library kernel), or on a laptop for another one.

Every wheel is listed in `offline_wheels/requirements.txt` and taken without its dependencies; what they need beyond
the image is then missing from the list, and said so, instead of being found out with the internet off.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rsna.kernel.bootstrap import WORKING
from rsna.kernel.requirements import NEVER, installed_packages, normalise, requirement_name, run_pip
from rsna.kernel.target import Target
from rsna.kernel.wheels import LOCK_FILE, TEMPORARY, read_lock
from rsna.log import setup_logging

logger = logging.getLogger(__name__)

REQUIREMENTS = Path("offline_wheels") / "requirements.txt"
ARCHIVES = (".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz")


def main(code: Path, out: Path = WORKING) -> None:
    """Build the wheels of the code's own list for this interpreter, beside a lock with the image's own packages."""
    setup_logging()
    build_wheels(read_requirements(code / REQUIREMENTS), out, Target(), installed_packages())


def read_requirements(path: Path) -> list[str]:
    """The requirements of a list, comments aside.

    Raises:
        RuntimeError: Where there is no list, or it names what must stay the image's own.
    """
    try:
        lines = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise RuntimeError(f"cannot read the list of wheels {path}: {error.strerror}") from error
    requirements = [line for line in lines if line]
    refused = [r for r in requirements if requirement_name(r) in NEVER]
    if refused:
        raise RuntimeError(f"{path} lists {', '.join(refused)}: never over the image's own; take it out")
    return requirements


def build_wheels(
    requirements: Iterable[str], out: Path, target: Target, image: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Download wheels, build what comes as source only, and write `lock.json`, in place of what an earlier build left.

    Args:
        requirements: Each taken without its dependencies.
        out: Gets the wheels, the lock, and archives that are no wheels under `.tmp` names.
        target: For which interpreter.
        image: Version by name of what is there anyway; '' for one that is not known.

    Returns:
        The lock's lines.

    Raises:
        RuntimeError: Where pip fails, a wheel does not fit the target, or the list lacks what its wheels need (named).
            The folder is then as it was.
    """
    wanted = {requirement_name(requirement): requirement for requirement in requirements}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=out) as name:
        folder = Path(name)
        _fetch(list(wanted.values()), folder, target)
        rows = [_row(wheel, wanted) for wheel in sorted(folder.glob("*.whl"))]
        check_rows(folder, rows, image, target)
        _remove_locked(out)
        for wheel in folder.glob("*.whl"):
            wheel.replace(out / wheel.name)
    for archive in (p for p in out.iterdir() if p.name.endswith(ARCHIVES)):
        archive.replace(archive.with_name(archive.name + TEMPORARY))  # Kaggle would unpack it
    lock = {
        "python": target.python or sysconfig.get_python_version(),
        "platform": target.platform,
        "wheels": rows,
        "image": dict(sorted(image.items())),
    }
    (out / LOCK_FILE).write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8")
    logger.info("%d wheels for Python %s in %s", len(rows), lock["python"], out)
    return rows


def check_rows(folder: Path, rows: Iterable[Mapping[str, Any]], image: Mapping[str, str], target: Target) -> None:
    """Check what can be checked of wheels without installing them: their tags, and that nothing they need is missing.

    Raises:
        RuntimeError: Naming every wheel that does not fit, and every dependency.
    """
    wheels = {str(row["name"]): folder / str(row["file"]) for row in rows}
    there = {**image, **{str(row["name"]): str(row["version"]) for row in rows}}
    problems = [problem for wheel in wheels.values() for problem in target.problems(wheel, there)]
    if problems:
        raise RuntimeError(
            f"the wheels would not do: {'; '.join(sorted(problems))}; what is missing belongs into {REQUIREMENTS}"
        )


def _fetch(requirements: list[str], folder: Path, target: Target) -> None:
    """One wheel for each: ready-made where there is one, else built of its source where that gives a pure one."""
    if not target.python:
        run_pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), *requirements)
        return
    for requirement in requirements:
        try:
            options = ["--no-deps", "--only-binary=:all:", "--dest", str(folder), *target.options()]
            run_pip("download", "--quiet", *options, requirement)
        except RuntimeError as error:
            _build_pure(requirement, folder, str(error))


def _build_pure(requirement: str, folder: Path, reason: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        run_pip("wheel", "--quiet", "--no-deps", "--no-binary=:all:", "--wheel-dir", name, requirement)
        for wheel in Path(name).glob("*.whl"):
            if not wheel.stem.endswith("-none-any"):
                raise RuntimeError(f"{requirement} has no wheel for the target and is not pure Python: {reason}")
            wheel.replace(folder / wheel.name)


def _row(wheel: Path, wanted: Mapping[str, str]) -> dict[str, Any]:
    name, version, *_, python, abi, platform = wheel.stem.split("-")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return {
        "name": normalise(name),
        "version": version,
        "file": wheel.name,
        "sha256": digest,
        "size": wheel.stat().st_size,
        "tag": f"{python}-{abi}-{platform}",
        "requirement": wanted.get(normalise(name), ""),
    }


def _remove_locked(out: Path) -> None:
    """Remove the wheels of an earlier build, which its lock names, and nothing else."""
    if (out / LOCK_FILE).is_file():
        for wheel in read_lock(out):
            (out / wheel.file).unlink(missing_ok=True)
            (out / (wheel.file + TEMPORARY)).unlink(missing_ok=True)
        (out / LOCK_FILE).unlink()
