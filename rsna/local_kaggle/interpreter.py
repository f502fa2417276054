"""Python interpreters of this machine: which version, where their parts lie, and where a sandbox shows them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsna.errors import InputError
from rsna.local_kaggle.sandbox import SHOWN, Step

PREFIX = "/opt/python"  # in a sandbox, since a home folder, where many interpreters live, is not to be seen there
PARTS = ("bin", "include", "lib", "lib64")
QUESTION = """
import json, platform, site, sys, sysconfig
shared = sysconfig.get_config_var("Py_ENABLE_SHARED")
library = "{}/{}".format(*sysconfig.get_config_vars("LIBDIR", "INSTSONAME")) if shared else ""
print(json.dumps(dict(executable=sys._base_executable, prefix=sys.base_prefix, version=platform.python_version(),
                      library=library, sites=site.getsitepackages())))
"""


@dataclass(frozen=True)
class Interpreter:
    """An interpreter, and the environment (a venv, mostly) that its packages are in.

    Attributes:
        executable: Of the interpreter proper, no link.
        prefix: The folder that it is installed in, with its standard library.
        version: For instance `3.11.7`.
        library: The shared library that the executable needs; None where it is all in one.
        sites: The folders of the environment's packages.
        own_sites: The folders of the packages that belong to the interpreter itself.
    """

    executable: Path
    prefix: Path
    version: str
    library: Path | None
    sites: tuple[Path, ...]
    own_sites: tuple[Path, ...]

    @property
    def short_version(self) -> str:
        """For instance `3.11`."""
        return ".".join(self.version.split(".")[:2])

    @property
    def moved(self) -> bool:
        """Whether a sandbox shows it in another place than this machine."""
        return not self.prefix.is_relative_to(SHOWN)

    def inside(self, path: Path) -> str:
        """Where something below the prefix lies in a sandbox."""
        return str(PREFIX / path.relative_to(self.prefix)) if self.moved else str(path)

    def steps(self, packages: Mapping[str, Path]) -> list[Step]:
        """The part of a sandbox's file system with the interpreter, and with these packages in place of its own.

        Args:
            packages: Names below the folder of packages, and where they lie on this machine.
        """
        parts = [path for path in (self.prefix / name for name in PARTS) if path.is_dir()] if self.moved else []
        sites = [self.inside(site) for site in self.own_sites]
        return [
            *(("bind", str(path), self.inside(path), "read-only") for path in parts),
            *(("tmpfs", site, "size=1m,mode=755") for site in sites),
            *(("bind", str(path), f"{sites[0]}/{name}", "read-only") for name, path in packages.items()),
            *(("protect", site) for site in sites),
        ]


def inspect_interpreter(executable: str) -> Interpreter:
    """Ask an interpreter, of a venv or its own, about itself. Raises `InputError` where it does not answer."""
    answer = _ask(executable)
    own = _ask(answer["executable"])
    own_sites = [site for site in _folders(own["sites"]) if site.is_relative_to(Path(answer["prefix"]).resolve())]
    if not own_sites:
        raise InputError(f"{answer['executable']} has no folder for packages below {answer['prefix']}")
    return Interpreter(
        executable=Path(answer["executable"]).resolve(),
        prefix=Path(answer["prefix"]).resolve(),
        version=answer["version"],
        library=Path(answer["library"]).resolve() if answer["library"] else None,
        sites=_folders(answer["sites"]),
        own_sites=tuple(own_sites),
    )


def _ask(executable: str) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [executable, "-I", "-c", QUESTION], capture_output=True, text=True, check=True, timeout=60
        )
        return json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise InputError(f"{executable} is not a Python interpreter that runs here: {error}") from error


def _folders(names: list[str]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path for path in (Path(name).resolve() for name in names) if path.is_dir()))
