"""The interpreter that wheels are for: what pip must be told of it, and whether a wheel fits it."""

from __future__ import annotations

import email.parser
import lzma
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from rsna.kernel.requirements import unmet

OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}  # by the C library's minor version

MAX_METADATA = 2**20
DAMAGE = (  # what a damaged zip file makes `zipfile` raise
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(IndexError, ValueError, OverflowError, RuntimeError),
)


def own_platform() -> str:
    """The best platform tag of this machine."""
    from pip._vendor.packaging.tags import platform_tags

    tags = list(platform_tags())
    return next((tag for tag in tags if tag.startswith("manylinux_")), tags[0])


@dataclass(frozen=True)
class Target:
    """An interpreter on a platform.

    Attributes:
        python: Its version, such as `3.12`; empty for the one that runs this.
        platform: Its best platform tag, such as `manylinux_2_28_x86_64`; empty for this machine's.
    """

    python: str = ""
    platform: str = ""

    def __post_init__(self) -> None:
        if self.python and not re.fullmatch(r"3\.\d+", self.python):
            raise RuntimeError(f"python {self.python!r} is not a version such as 3.12")
        object.__setattr__(self, "platform", self.platform or own_platform())

    @property
    def version(self) -> tuple[int, int]:
        """The Python version as numbers."""
        if not self.python:
            return sys.version_info[:2]
        major, minor = self.python.split(".")
        return int(major), int(minor)

    @property
    def platforms(self) -> list[str]:
        """Every platform tag that fits, the best first: a manylinux platform runs what was built for an older one."""
        found = re.fullmatch(r"manylinux_2_(\d+)_(\w+)", self.platform)
        if not found:
            return [self.platform]
        machine, tags = found[2], []
        for minor in range(int(found[1]), 4, -1):
            tags.append(f"manylinux_2_{minor}_{machine}")
            if minor in OLD_NAMES:
                tags.append(f"{OLD_NAMES[minor]}_{machine}")
        return tags

    def options(self) -> list[str]:
        """What `pip download` must be told to fetch for it."""
        abi = "cp{}{}".format(*self.version)
        options = ["--python-version", "{}.{}".format(*self.version), "--implementation", "cp"]
        options += [word for tag in (abi, "abi3", "none") for word in ("--abi", tag)]
        return options + [word for tag in (*self.platforms, "any") for word in ("--platform", tag)]

    def problems(self, wheel: Path, packages: Mapping[str, str]) -> list[str]:
        """Why a wheel would not do: its tags and the Python and packages that it asks for, by its own metadata.

        Args:
            wheel: The file.
            packages: Version by normalised name of everything that will be there.

        Raises:
            RuntimeError: The file is no wheel.
        """
        try:
            return self._problems(wheel, packages)
        except ValueError as error:  # a name, a version or a requirement that is none
            raise RuntimeError(f"{wheel} is not a wheel: {' '.join(str(error).split())[:300]}") from error

    def _problems(self, wheel: Path, packages: Mapping[str, str]) -> list[str]:
        from pip._vendor.packaging.specifiers import SpecifierSet

        name, metadata = wheel.name, read_metadata(wheel)
        problems = [] if self._fits(name) else [f"{name} is not for Python {self.version} on {self.platform}"]
        python, wanted = "{}.{}".format(*self.version), SpecifierSet(metadata.get("Requires-Python", ""))
        if not wanted.contains(f"{python}.99"):
            problems.append(f"{name} wants Python {wanted}")
        asked = [unmet(requirement, packages) for requirement in self._dependencies(metadata)]
        return problems + [f"{reason} (for {name})" for reason in asked if reason]

    def _fits(self, file_name: str) -> bool:
        from pip._vendor.packaging import tags
        from pip._vendor.packaging.utils import parse_wheel_filename

        interpreter = "cp{}{}".format(*self.version)
        known = set(tags.cpython_tags(self.version, platforms=self.platforms))
        known |= set(tags.compatible_tags(self.version, interpreter, self.platforms))
        return not known.isdisjoint(parse_wheel_filename(file_name)[3])

    def _dependencies(self, metadata: Message) -> list[str]:
        """What a wheel needs, extras aside, without the markers that hold."""
        from pip._vendor.packaging.requirements import Requirement

        python = "{}.{}".format(*self.version)
        environment = {"extra": "", "python_version": python, "python_full_version": f"{python}.0"}
        needed = [Requirement(text) for text in metadata.get_all("Requires-Dist") or []]
        return [
            f"{needs.name}{needs.specifier}"
            for needs in needed
            if needs.marker is None or needs.marker.evaluate(environment)
        ]


def read_metadata(wheel: Path) -> Message:
    """The metadata of a wheel. Raises `RuntimeError` where the file is none."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            with archive.open(names[0]) as file:
                text = file.read(MAX_METADATA + 1).decode("utf-8")
    except (OSError, *DAMAGE) as error:
        raise RuntimeError(f"{wheel} is not a wheel: {' '.join(str(error).split())[:300]}") from error
    if len(text) > MAX_METADATA:
        raise RuntimeError(f"{wheel} is not a wheel: its metadata has more than {MAX_METADATA // 2**20} MB")
    return email.parser.Parser().parsestr(text)
