"""Install what the image lacks where the internet is on, without touching what it has. Only the standard library."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import logging
import re
import subprocess
import sys
import tempfile
from pathlib import Path

logger = logging.getLogger(__name__)


def declared_requirements(setup: Path) -> list[str]:
    """The list `REQUIRES` of a `setup.py`, read without running it."""
    for node in ast.parse(setup.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "REQUIRES" for t in node.targets):
            return [str(item) for item in ast.literal_eval(node.value)]
    raise RuntimeError(f"{setup} has no list REQUIRES")


def installed_packages() -> dict[str, str]:
    """Version by normalised name of everything that this interpreter can import from distributions."""
    found = ((d.metadata["Name"], d.version) for d in importlib.metadata.distributions())
    return {normalise(name): version for name, version in found if name}


def normalise(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_name(requirement: str) -> str:
    """The normalised name in a requirement such as `timm>=1.0.15`."""
    match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement.strip())
    if not match:
        raise RuntimeError(f"{requirement!r} is not a requirement")
    return normalise(match.group())


def install_requirements(code: Path) -> list[str]:
    """Install from the index what the package declares and the image lacks; returns those requirements.

    Everything that is installed already is a constraint: torch, numpy and their kind stay the image's own.

    Raises:
        RuntimeError: With pip's last words.
    """
    installed = installed_packages()
    missing = [r for r in declared_requirements(code / "setup.py") if requirement_name(r) not in installed]
    if not missing:
        logger.info("nothing to install: the image has everything")
        return []
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.writelines(f"{name}=={version}\n" for name, version in installed.items() if "+" not in version)
        constraints.flush()
        run_pip("install", "--quiet", "--constraint", constraints.name, *missing)
    importlib.invalidate_caches()
    logger.info("installed %s", ", ".join(missing))
    return missing


def run_pip(*arguments: str) -> None:
    """Run this interpreter's pip, or raise `RuntimeError` with its last words."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip {arguments[0]} failed: {done.stderr.strip()[-800:]}")
