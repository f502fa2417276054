"""Install what the image lacks where the internet is on, without touching what it has. Only the standard library."""

from __future__ import annotations

import ast
import importlib
import logging
import tempfile
from pathlib import Path

from rsna.kernel.requirements import NEVER, installed_packages, lacking, requirement_name, run_pip, unmet

logger = logging.getLogger(__name__)


def declared_requirements(setup: Path) -> list[str]:
    """The list `REQUIRES` of a `setup.py`, read without running it."""
    for node in ast.parse(setup.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "REQUIRES" for t in node.targets):
            return [str(item) for item in ast.literal_eval(node.value)]
    raise RuntimeError(f"{setup} has no list REQUIRES")


def install_requirements(code: Path) -> list[str]:
    """Install from the index what the package declares and the image lacks or has too old; returns those requirements.

    Everything else that is installed is a constraint: torch, numpy and their kind stay the image's own.

    Raises:
        RuntimeError: With pip's last words, or where torch or its kind would have to be replaced.
    """
    installed = installed_packages()
    missing = lacking(declared_requirements(code / "setup.py"), installed)
    if not missing:
        logger.info("nothing to install: the image has everything")
        return []
    replaced = {requirement_name(requirement) for requirement in missing} & set(installed)
    if fixed := [unmet(r, installed) for r in missing if requirement_name(r) in replaced.intersection(NEVER)]:
        raise RuntimeError(f"{'; '.join(fixed)}, and that is never replaced; take another image (docker_image)")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        kept = {name: version.split("+")[0] for name, version in installed.items() if name not in replaced}
        constraints.writelines(f"{name}=={version}\n" for name, version in kept.items() if version)
        constraints.flush()
        run_pip("install", "--quiet", "--constraint", constraints.name, *missing)
    importlib.invalidate_caches()
    logger.info("installed %s", ", ".join(missing))
    return missing
