"""The stand-in for Kaggle's image: this machine's interpreter with only those packages that the profile names.

Nothing is copied. The files of an installed package are known from its RECORD, and every folder of site-packages that
holds nothing hidden is bound into the sandbox as a whole, as the interpreter's own packages. Above them lies an empty
venv; pip installs into that what the image lacks, or has in another version.
https://packaging.python.org/en/latest/specifications/recording-installed-packages/
"""

from __future__ import annotations

import csv
import importlib.metadata
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rsna.errors import InputError
from rsna.local_kaggle.interpreter import Interpreter, inspect_interpreter
from rsna.local_kaggle.profile import Profile
from rsna.local_kaggle.sandbox import Sandbox, Step, system_steps

VENV = "/opt/image"  # in the sandbox: a venv above the shown packages
PYTHON = f"{VENV}/bin/python"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOME = "/root"
NEEDED = ("papermill", "ipykernel", "pip")
CONFIGURATION = "home = {home}\ninclude-system-site-packages = true\nversion = {version}\n"
SCRIPT = "#!{python}\nimport sys\nfrom {module} import {name}\nsys.exit({call}())\n"


@dataclass(frozen=True)
class Image:
    """What a session sees of an interpreter and its packages.

    Attributes:
        profile: What it was made by.
        interpreter: Whose packages are shown.
        packages: Name and version of every package that is shown.
        entries: What of the site-packages is shown: the name below them, and where it lies.
        scripts: The texts of the shown packages' commands, by name.
    """

    profile: Profile
    interpreter: Interpreter
    packages: Mapping[str, str]
    entries: Mapping[str, Path]
    scripts: Mapping[str, str]

    @property
    def missing(self) -> list[str]:
        """Packages of the profile that are not installed here."""
        return sorted(name for name in map(canonicalize_name, self.profile.packages) if name not in self.packages)

    @property
    def different(self) -> list[str]:
        """Packages whose version is another than the profile's, as `name: here, on Kaggle`."""
        wanted = {str(canonicalize_name(name)): version for name, version in self.profile.packages.items()}
        return [
            f"{name}: {version} here, {wanted[name]} on Kaggle"
            for name, version in sorted(self.packages.items())
            if wanted.get(name, "") not in ("", version)
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which the interpreter, its shared library and the commands are found."""
        path = {"PATH": f"{VENV}/bin:{PATH}"}
        return {**path, "LD_LIBRARY_PATH": f"{VENV}/lib"} if self._needs_library else path

    def sandbox(self, *steps: Step) -> Sandbox:
        """A sandbox without network that holds the image, a home, and what `steps` add; for a single command."""
        private = [("tmpfs", place, "mode=1777") for place in (HOME, "/tmp")]
        every = (*system_steps(network=False), *self.steps(), *private, *steps)
        return Sandbox(every, {**self.environment, "HOME": HOME, "LANG": "C.UTF-8"})

    def steps(self, writable: Path | None = None) -> list[Step]:
        """The part of a sandbox's file system that holds the interpreter and its packages.

        Args:
            writable: An empty folder of this machine, for what is installed in the sandbox; by default that is kept
                in memory.
        """
        python = self.interpreter
        executable = python.inside(python.executable)
        configuration = CONFIGURATION.format(home=os.path.dirname(executable), version=python.version)
        links = {f"bin/{name}": executable for name in ("python", "python3")}
        if python.library and self._needs_library:
            links[f"lib/{python.library.name}"] = python.inside(python.library)
        return [
            *python.steps(self.entries),
            ("bind", str(writable), VENV, "writable") if writable else ("tmpfs", VENV, "mode=755"),
            ("folder", f"{VENV}/lib/python{python.short_version}/site-packages"),
            ("text", f"{VENV}/pyvenv.cfg", configuration),
            *(("link", f"{VENV}/{name}", target) for name, target in links.items()),
            *(("text", f"{VENV}/bin/{name}", text, "755") for name, text in self.scripts.items()),
        ]

    @property
    def _needs_library(self) -> bool:
        """Whether the interpreter looks for its library where a sandbox does not have it."""
        return self.interpreter.moved and self.interpreter.library is not None


def open_image(profile: Profile) -> Image:
    """Find out what a profile's image shows of the interpreter's packages: what it names, and what that requires.

    Raises:
        InputError: Where the interpreter does not run, or lacks what runs a notebook.
    """
    interpreter = inspect_interpreter(profile.interpreter or sys.executable)
    installed = _installed(interpreter)
    shown = required(profile.packages, installed, profile.hidden, _environment(interpreter))
    if absent := [name for name in NEEDED if name not in shown]:
        raise InputError(
            f"the image profile {profile.name} shows no {', '.join(absent)}, which runs notebooks; "
            "install rsna[kaggle], or add it to the profile"
        )
    return Image(
        profile=profile,
        interpreter=interpreter,
        packages={name: installed[name].version for name in sorted(shown)},
        entries=_entries(installed, shown),
        scripts=dict(script for name in sorted(shown) for script in _scripts(installed[name])),
    )


def required(
    names: Iterable[str],
    installed: Mapping[str, importlib.metadata.Distribution],
    hidden: Iterable[str],
    environment: Mapping[str, str],
) -> set[str]:
    """The installed packages among `names` and all that they require, without those that are hidden.

    Args:
        names: Packages to begin with.
        installed: Distributions by normalised name.
        hidden: Packages to leave out, with what only they require.
        environment: The values of environment markers that differ from this interpreter's.
    """
    left_out = {canonicalize_name(name) for name in hidden}
    seen: set[tuple[str, str]] = set()  # package and extra; '' is the package itself
    waiting = [(str(canonicalize_name(name)), "") for name in names]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name in left_out or name not in installed:
            continue
        seen.add((name, extra))
        for requirement in map(Requirement, installed[name].requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({**environment, "extra": extra}):
                waiting += [(str(canonicalize_name(requirement.name)), wanted) for wanted in ("", *requirement.extras)]
    return {name for name, _ in seen}


def covering(shown: Iterable[str], hidden: Iterable[str]) -> list[str]:
    """The fewest files and folders that hold every path of `shown` and none of `hidden`; all relative, with `/`."""
    mixed = {parent for path in hidden for parent in _parents(path)}
    found = set()
    for path in shown:
        found.add(next((parent for parent in _parents(path) if parent not in mixed), path))
    return sorted(found)


def _parents(path: str) -> Iterator[str]:
    """The folders above a path, the highest first."""
    for position, letter in enumerate(path):
        if letter == "/":
            yield path[:position]


def _installed(interpreter: Interpreter) -> dict[str, importlib.metadata.Distribution]:
    found: dict[str, importlib.metadata.Distribution] = {}
    for distribution in importlib.metadata.distributions(path=[str(site) for site in interpreter.sites]):
        found.setdefault(str(canonicalize_name(distribution.metadata["Name"])), distribution)
    return found


def _entries(installed: Mapping[str, importlib.metadata.Distribution], shown: set[str]) -> dict[str, Path]:
    """What to bind: the name below site-packages, and where it lies."""
    sites: dict[Path, tuple[list[str], list[str]]] = {}
    for name, distribution in installed.items():
        site = Path(str(distribution.locate_file("")))
        sites.setdefault(site, ([], []))[name not in shown].extend(_record(distribution))
    pairs = ((site, name) for site, (seen, hidden) in sites.items() for name in covering(seen, hidden))
    return {name: site / name for site, name in pairs if (site / name).exists()}


def _record(distribution: importlib.metadata.Distribution) -> list[str]:
    """The files of a distribution below its site-packages."""
    lines = (distribution.read_text("RECORD") or "").splitlines()
    return [row[0] for row in csv.reader(lines) if row and not row[0].startswith(("../", "/"))]


def _scripts(distribution: importlib.metadata.Distribution) -> Iterator[tuple[str, str]]:
    """The commands of a distribution: name and text."""
    for entry in distribution.entry_points.select(group="console_scripts"):
        name = entry.attr.partition(".")[0]
        yield entry.name, SCRIPT.format(python=PYTHON, module=entry.module, name=name, call=entry.attr)


def _environment(interpreter: Interpreter) -> dict[str, str]:
    return {"python_version": interpreter.short_version, "python_full_version": interpreter.version}
