"""Build the offline wheels: for this interpreter (the library kernel), or on a laptop for another one.

Every wheel is listed in `offline_wheels/requirements.txt` and taken without its dependencies; what they need beyond
the image is then missing from the list, and said so, instead of being found out with the internet off.
"""

from __future__ import annotations

import email.parser
import hashlib
import json
import logging
import shutil
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsna.kernel.bootstrap import WORKING
from rsna.kernel.online import installed_packages, normalise, requirement_name, run_pip
from rsna.kernel.wheels import LOCK_FILE, TEMPORARY

logger = logging.getLogger(__name__)

REQUIREMENTS = Path("offline_wheels") / "requirements.txt"
NEVER = (
    "torch",
    "torchvision",
    "numpy",
    "protobuf",
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
)
ARCHIVES = (".zip", ".tar.gz", ".tar.bz2", ".tgz")


@dataclass(frozen=True)
class Target:
    """The interpreter that the wheels are for.

    Attributes:
        python: Its version, such as `3.12`; empty for the one that runs this.
        platforms: Its platform tags, the best first; used with `python`.
    """

    python: str = ""
    platforms: tuple[str, ...] = field(
        default=("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
    )

    def options(self) -> list[str]:
        """What pip must be told."""
        if not self.python:
            return []
        abi = "cp" + self.python.replace(".", "")
        options = ["--python-version", self.python, "--implementation", "cp"]
        options += [word for tag in (abi, "abi3", "none") for word in ("--abi", tag)]
        return options + [word for tag in (*self.platforms, "any") for word in ("--platform", tag)]


def main(code: Path, out: Path = WORKING) -> None:
    """Build the wheels of the code's own list for this interpreter, beside a lock with the image's own packages."""
    build_wheels(read_requirements(code / REQUIREMENTS), out, Target(), installed_packages())


def read_requirements(path: Path) -> list[str]:
    """The requirements of a list, comments aside.

    Raises:
        RuntimeError: Where it names what must stay the image's own.
    """
    lines = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    requirements = [line for line in lines if line]
    refused = [r for r in requirements if requirement_name(r) in NEVER]
    if refused:
        raise RuntimeError(f"{path} lists {', '.join(refused)}: never over the image's own; take it out")
    return requirements


def build_wheels(
    requirements: Iterable[str], out: Path, target: Target, image: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Download wheels, build what comes as source, and write `lock.json`.

    Args:
        requirements: Each taken without its dependencies.
        out: Gets the wheels, the lock, and archives that are no wheels under `.tmp` names.
        target: For which interpreter.
        image: Version by name of what is there anyway; None skips the check for missing dependencies.

    Returns:
        The lock's lines.

    Raises:
        RuntimeError: Where pip fails, or the list lacks what its wheels need (named).
    """
    out.mkdir(parents=True, exist_ok=True)
    for requirement in requirements:
        _fetch(requirement, out, target)
    for archive in (p for p in out.iterdir() if p.name.endswith(ARCHIVES)):
        archive.rename(archive.with_name(archive.name + TEMPORARY))  # Kaggle would unpack it
    rows = [_row(wheel) for wheel in sorted(out.glob("*.whl"))]
    if image is not None:
        _check_complete(out, rows, image, target)
    lock = {
        "python": target.python or sysconfig.get_python_version(),
        "platform": target.platforms[0] if target.python else sysconfig.get_platform(),
        "wheels": rows,
        "image": dict(sorted((image or {}).items())),
    }
    (out / LOCK_FILE).write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8")
    logger.info("%d wheels for Python %s in %s", len(rows), lock["python"], out)
    return rows


def _fetch(requirement: str, out: Path, target: Target) -> None:
    """One wheel: ready-made where there is one, else built of its source where that gives a pure one."""
    if not target.python:
        run_pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), requirement)
        return
    try:
        options = ["--no-deps", "--only-binary=:all:", "--dest", str(out), *target.options()]
        run_pip("download", "--quiet", *options, requirement)
    except RuntimeError as error:
        built = out / ".built"
        run_pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(built), requirement)
        wheels = list(built.glob("*.whl"))
        pure = [wheel for wheel in wheels if wheel.stem.endswith("-any")]
        if not pure:
            raise RuntimeError(
                f"{requirement} has no wheel for Python {target.python} and is not pure: {error}"
            ) from error
        shutil.move(str(pure[0]), out / pure[0].name)
        shutil.rmtree(built)


def _row(wheel: Path) -> dict[str, Any]:
    name, version, *_, python, abi, platform = wheel.stem.split("-")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    tag = f"{python}-{abi}-{platform}"
    return {"name": normalise(name), "version": version, "file": wheel.name, "sha256": digest, "tag": tag}


def _check_complete(out: Path, rows: list[dict[str, Any]], image: Mapping[str, str], target: Target) -> None:
    there = {row["name"] for row in rows} | set(image)
    missing = {
        f"{needed} (for {row['name']})"
        for row in rows
        for needed in dependencies(out / row["file"], target)
        if normalise(needed) not in there
    }
    if missing:
        raise RuntimeError(f"the image lacks {', '.join(sorted(missing))}: add to {REQUIREMENTS}")


def dependencies(wheel: Path, target: Target) -> list[str]:
    """The names that a wheel needs on the target, extras aside, by its own metadata."""
    from pip._vendor.packaging.requirements import Requirement  # pip brings it, whatever the image has

    with zipfile.ZipFile(wheel) as archive:
        path = next(
            name for name in archive.namelist() if name.count("/") == 1 and name.endswith(".dist-info/METADATA")
        )
        metadata = email.parser.Parser().parsestr(archive.read(path).decode("utf-8"))
    python = target.python or f"{sys.version_info.major}.{sys.version_info.minor}"
    environment = {"extra": "", "python_version": python, "python_full_version": f"{python}.0"}
    needed = [Requirement(text) for text in metadata.get_all("Requires-Dist") or []]
    return [r.name for r in needed if r.marker is None or r.marker.evaluate(environment)]
