"""Requirements against what is installed. Standard library, and the copy of `packaging` that every pip brings along."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping

OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)  # distributions of one and the same module `cv2`: a second one over the first breaks both
NEVER = ("torch", "torchvision", "numpy", "protobuf", *OPENCV)  # always the image's own


def normalise(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_name(requirement: str) -> str:
    """The normalised name in a requirement such as `timm>=1.0.15`."""
    match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement.strip())
    if not match:
        raise RuntimeError(f"{requirement!r} is not a requirement")
    return normalise(match.group())


def installed_packages() -> dict[str, str]:
    """Version by normalised name of everything that this interpreter can import from distributions.

    Where a distribution is there twice, the one that comes first on the path counts, as it does for imports.
    """
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        if name := distribution.metadata["Name"]:
            found.setdefault(normalise(name), distribution.version or "")
    return found


def version_of(name: str, packages: Mapping[str, str]) -> str | None:
    """The version of a distribution, or of one that gives the same module; None where there is none, '' if unknown."""
    same = OPENCV if name in OPENCV else (name,)
    return next((packages[other] for other in (name, *same) if other in packages), None)


def unmet(requirement: str, packages: Mapping[str, str]) -> str:
    """What is wrong with some packages for a requirement; empty where they fulfil it.

    Args:
        requirement: Such as `numpy>=2`; its marker is somebody else's business.
        packages: Version by normalised name; an unknown version, '', fulfils everything.

    Raises:
        RuntimeError: Where it is no requirement.
    """
    from pip._vendor.packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(requirement)
    except InvalidRequirement as error:
        reason = " ".join(str(error).split())[:200]  # it comes with a drawing
        raise RuntimeError(f"{requirement[:100]!r} is not a requirement: {reason}") from error
    version = version_of(normalise(wanted.name), packages)
    if version is None:
        return f"{wanted.name}{wanted.specifier} is missing"
    if version and not wanted.specifier.contains(version, prereleases=True):
        return f"{wanted.name}{wanted.specifier} is needed, {version} is there"
    return ""


def lacking(requirements: Iterable[str], packages: Mapping[str, str]) -> list[str]:
    """The requirements that some packages do not fulfil."""
    return [requirement for requirement in requirements if unmet(requirement, packages)]


def run_pip(*arguments: str) -> None:
    """Run this interpreter's pip, or raise `RuntimeError` with its last words."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip {arguments[0]} failed: {done.stderr.strip()[-800:]}")
