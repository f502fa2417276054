"""The offline wheels on this machine: build them, and prove that they carry a submission with the internet off."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rsna
from rsna.errors import InputError, RsnaError
from rsna.io import ensure_dir, read_json
from rsna.kernel.library import REQUIREMENTS, build_wheels, check_rows, read_requirements
from rsna.kernel.requirements import normalise, unmet
from rsna.kernel.target import Target
from rsna.kernel.wheels import LOCK_FILE, read_lock, verify_wheels
from rsna.local_kaggle.image import Image, open_image
from rsna.local_kaggle.profile import Profile, load_profile

logger = logging.getLogger(__name__)

PROOF = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("rsna.kernel.proof", run_name="__main__", alter_sys=True)
"""
PROOF_SECONDS = 600.0


@dataclass(frozen=True)
class Checked:
    """What came of a check.

    Attributes:
        wheels: How many the lock names.
        installed: Those that were missing in the image and were installed, where that could be tried.
        unproven: Why it could not be tried; empty where everything is proven.
    """

    wheels: int
    installed: tuple[str, ...]
    unproven: str


def build(root: Path, out: Path, python: str = "", platform: str = "", profile: str = "local") -> list[dict[str, Any]]:
    """Build the wheels of a checkout's list.

    Args:
        root: The checkout, with `offline_wheels/requirements.txt`.
        out: The folder of wheels.
        python: Of the image, such as `3.12`; empty for this interpreter.
        platform: Its best platform tag; empty for this machine's.
        profile: The image profile that says which packages are there anyway.

    Returns:
        The lines of the lock.

    Raises:
        InputError: For a list or a target that is wrong.
        RsnaError: Where pip fails or the list lacks something.
    """
    with _as_errors(InputError):
        target, requirements = Target(python, platform), read_requirements(root / REQUIREMENTS)
    with _as_errors(RsnaError):
        return build_wheels(requirements, ensure_dir(out), target, image_packages(load_profile(profile), python))


def image_packages(profile: Profile, python: str) -> Mapping[str, str]:
    """Version by name of what an image has: as installed here for this interpreter, else as the profile says."""
    if not python:
        return open_image(profile).packages
    hidden = {normalise(name) for name in profile.hidden}
    packages = {normalise(name): version for name, version in profile.packages.items()}
    return {name: version for name, version in packages.items() if name not in hidden}


def check(root: Path, folder: Path, profile: str = "local") -> Checked:
    """Check a folder of wheels, and prove it where this machine can.

    Hashes, tags, dependencies, and whether the checkout's list is fulfilled, are checked for any target. Wheels for the
    interpreter that stands in for the image's are also installed by hash, without index and dependencies, into an
    environment that has nothing but the image's packages; the submit path is imported there.

    Args:
        root: The checkout, with `offline_wheels/requirements.txt`.
        folder: With `lock.json`.
        profile: The image profile.

    Raises:
        InputError: For a folder that is none, or holds other files than its lock says.
        RsnaError: For wheels that would not do, with the reason.
    """
    with _as_errors(InputError):
        wheels, lock, listed = read_lock(folder), read_json(folder / LOCK_FILE), read_requirements(root / REQUIREMENTS)
        if problems := verify_wheels(folder):
            raise RuntimeError(f"{folder} is not whole: {'; '.join(problems)}; build it again")
        if not isinstance(lock.get("python"), str) or not isinstance(lock.get("platform"), str):
            raise RuntimeError(f"{folder / LOCK_FILE} does not say which python and platform it is for; build it again")
    python, image = lock["python"], load_profile(profile)
    with _as_errors(RsnaError):
        target = Target(python, lock["platform"])
        here = open_image(image)
        own = python == here.interpreter.short_version
        packages = here.packages if own else image_packages(image, python)
        check_rows(folder, lock["wheels"], packages, target)
        there = {**packages, **{normalise(wheel.name): wheel.version for wheel in wheels}}
        if lacks := [reason for requirement in listed if (reason := unmet(requirement, there))]:
            raise RuntimeError(f"{folder} is not what {REQUIREMENTS} asks for: {'; '.join(lacks)}; build it again")
    if not own or not set(Target().platforms).issuperset(target.platforms):
        return Checked(
            len(wheels),
            (),
            f"they are for Python {python} on {target.platform}, which is not here: hashes, tags and dependencies are"
            " right, but nothing was installed or imported",
        )
    replaced = tuple(wheel.name for wheel in wheels if wheel.requirement and unmet(wheel.requirement, here.packages))
    seen = open_image(replace(image, hidden=(*image.hidden, *replaced)))
    return Checked(len(wheels), tuple(_prove(folder, seen)), "")


def _prove(folder: Path, image: Image) -> list[str]:
    """Run `rsna.kernel.proof` in an environment of its own; returns what was installed there."""
    with tempfile.TemporaryDirectory(prefix="rsna-wheels-") as name:
        temporary = Path(name)
        python = make_environment(image, temporary / "image")
        code = ensure_dir(temporary / "code")  # the package alone, not what is installed beside it
        (code / "rsna").symlink_to(Path(rsna.__file__).parent)
        command = [str(python), "-I", "-c", PROOF, str(code), str(folder.resolve()), str(temporary / "wheels")]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": name, "LANG": "C.UTF-8"}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=PROOF_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise RsnaError(f"the proof of {folder} did not end in {PROOF_SECONDS:.0f} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise RsnaError(f"{folder} does not carry a submission: {last}")
    return [str(package) for package in json.loads(done.stdout.splitlines()[-1])]


def make_environment(image: Image, folder: Path) -> Path:
    """Make a venv that sees the packages of an image and nothing else; returns its interpreter.

    What is installed into it goes to its own site-packages. The image's packages are links in another folder, which
    pip takes for a part of the path that is not its own: it can neither remove nor write what they lead to.
    """
    try:
        subprocess.run(
            [str(image.interpreter.executable), "-I", "-m", "venv", "--without-pip", "--symlinks", str(folder)],
            check=True,
            capture_output=True,
            text=True,
        )
    except subprocess.CalledProcessError as error:
        raise RsnaError(f"{image.interpreter.executable} cannot make a venv: {error.stderr.strip()}") from error
    packages = folder / "packages"
    for name, place in image.entries.items():
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).symlink_to(place)
    site = folder / "lib" / f"python{image.interpreter.short_version}" / "site-packages"
    (site / "image.pth").write_text(f"{packages}\n", encoding="utf-8")
    return folder / "bin" / "python"


@contextlib.contextmanager
def _as_errors(kind: type[RsnaError]) -> Iterator[None]:
    """What the standard-library modules of the kernels raise, as an error that ends a command."""
    try:
        yield
    except RuntimeError as error:
        raise kind(str(error)) from error
