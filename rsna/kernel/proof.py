"""The proof of a set of wheels: install what is missing, offline, then import all that a submission needs."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import logging
import pkgutil
import sys
from pathlib import Path

from rsna.kernel.wheels import install_missing, read_lock

logger = logging.getLogger(__name__)

SUBMIT_PATH = ("config", "errors", "io", "log", "tables", "competitions", "imaging", "data", "models", "inference")


def prove(wheels: Path, temporary: Path) -> list[str]:
    """Install the missing wheels into this interpreter and import the submit path and every locked package.

    Args:
        wheels: The folder with `lock.json`.
        temporary: A writable folder.

    Returns:
        The names of the packages that were installed.

    Raises:
        RuntimeError: Where they cannot be installed.
        ImportError: With what is still missing.
    """
    installed = install_missing(wheels, temporary)
    modules = importlib.metadata.packages_distributions()
    locked = {wheel.name for wheel in read_lock(wheels)}
    for module, owners in modules.items():
        if locked.intersection(owner.lower().replace("_", "-") for owner in owners) and module.isidentifier():
            importlib.import_module(module)
    for part in SUBMIT_PATH:
        package = importlib.import_module(f"rsna.{part}")
        for found in pkgutil.walk_packages(getattr(package, "__path__", []), f"rsna.{part}."):
            importlib.import_module(found.name)
    return [wheel.name for wheel in installed]


if __name__ == "__main__":
    print(json.dumps(prove(Path(sys.argv[1]), Path(sys.argv[2]))))  # noqa: T201
