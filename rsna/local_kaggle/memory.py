"""The memory of a session: measured, and limited by a control group where this user may make one.

A control group is exact: the kernel ends a process the moment it asks for too much, as on Kaggle. Without one the
processes' memory is added up many times a second, and a fast eater gets a little further before its end.
https://docs.kernel.org/admin-guide/cgroup-v2.html#memory, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
JOIN = ("sh", "-c", 'echo $$ > "$0" && exec "$@"')  # a shell that joins the group of this file, and becomes a command
REMOVE_SECONDS = 10.0
SHARE_OF_MACHINE = 0.9  # a limit above the machine's own memory would let the machine die first

_numbers = itertools.count()


class Meter(Protocol):
    """Watches the memory of one session.

    Attributes:
        limit: In bytes.
        wrapper: What has to start the session's first process.
    """

    limit: int
    wrapper: tuple[str, ...]

    def usage(self, process: int) -> int:
        """What a process and its descendants use now, in bytes."""

    def exceeded(self, usage: int) -> bool:
        """Whether they have gone over the limit, with their usage now."""


@dataclass(frozen=True)
class Version:
    """How a version of control groups calls its files, and in `memory.stat` what cannot be reclaimed."""

    name: str
    limit: str
    swap: str
    swap_value: str
    events: str
    counted: tuple[str, str]


V1 = Version(
    name="control group (v1)",
    limit="memory.limit_in_bytes",
    swap="memory.memsw.limit_in_bytes",
    swap_value="{limit}",
    events="memory.oom_control",
    counted=("total_rss", "total_shmem"),
)
V2 = Version(
    name="control group (v2)",
    limit="memory.max",
    swap="memory.swap.max",
    swap_value="0",
    events="memory.events",
    counted=("anon", "shmem"),
)


class ControlGroup:
    """A control group of one session; processes join it through the wrapper."""

    def __init__(self, folder: Path, version: Version, limit: int) -> None:
        """Make the group; raises `OSError` where that is not allowed here."""
        self.folder = folder
        self.version = version
        self.limit = limit
        self.wrapper: tuple[str, ...] = (*JOIN, str(folder / "cgroup.procs"))
        folder.mkdir()
        try:
            (folder / version.limit).write_text(str(limit))
            if (folder / version.swap).exists():
                (folder / version.swap).write_text(version.swap_value.format(limit=limit))
        except OSError:
            folder.rmdir()
            raise

    def usage(self, process: int) -> int:
        """See `Meter`; files that are only cached are not counted."""
        values = _pairs(self.folder / "memory.stat")
        return sum(values.get(name, 0) for name in self.version.counted)

    def exceeded(self, usage: int) -> bool:
        """See `Meter`: whether the kernel has ended a process of the group."""
        return _pairs(self.folder / self.version.events).get("oom_kill", 0) > 0

    def remove(self) -> None:
        """Remove the group, as soon as its last process has gone."""
        deadline = time.monotonic() + REMOVE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.01)
        logger.warning("the control group %s is still in use and stays", self.folder)


@dataclass
class ProcessTree:
    """Adds up the memory of a process and its descendants; shared pages count once."""

    limit: int
    wrapper: tuple[str, ...] = ()

    def usage(self, process: int) -> int:
        """See `Meter`."""
        return sum(_proportional(number) for number in _descendants(process))

    def exceeded(self, usage: int) -> bool:
        """See `Meter`."""
        return usage > self.limit


@contextlib.contextmanager
def limited(limit: int) -> Iterator[Meter]:
    """A meter that limits the memory of what is started through its wrapper.

    Args:
        limit: In bytes; lowered to what this machine can bear.
    """
    limit = min(limit, int(SHARE_OF_MACHINE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    place = find_place()
    if place is None:
        yield ProcessTree(limit)
        return
    parent, version = place
    group = ControlGroup(parent / _name(), version, limit)
    try:
        yield group
    finally:
        group.remove()


@functools.cache
def find_place() -> tuple[Path, Version] | None:
    """Where this process may make control groups that limit memory, tried out; None for nowhere."""
    for folder, version in _candidates():
        if _usable(folder, version):
            _remove_left_over(folder)
            return folder, version
    return None


def _candidates() -> Iterator[tuple[Path, Version]]:
    """This process's own group and those above it, the nearest first."""
    try:
        lines = OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, version = (CGROUPS / "memory", V1) if controllers else (CGROUPS, V2)
        group = root / path.lstrip("/")
        yield from ((folder, version) for folder in (group, *group.parents) if folder.is_relative_to(root))


def _usable(parent: Path, version: Version) -> bool:
    try:
        group = ControlGroup(parent / _name(), version, 2**30)
    except OSError:
        return False
    try:
        done = subprocess.run([*group.wrapper, "true"], capture_output=True, check=False)
        return done.returncode == 0
    finally:
        group.remove()


def _name() -> str:
    return f"rsna-{os.getpid()}-{next(_numbers)}"


def _remove_left_over(parent: Path) -> None:
    """Remove the groups of processes that were killed."""
    for folder in parent.glob("rsna-*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            with contextlib.suppress(OSError):
                folder.rmdir()


def _pairs(path: Path) -> dict[str, int]:
    """The lines `name value` of a file."""
    pairs = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {name: int(value) for name, value in pairs}


def _descendants(process: int) -> Iterator[int]:
    yield process
    for task in _listed(f"/proc/{process}/task"):
        for child in _text(f"/proc/{process}/task/{task}/children").split():
            yield from _descendants(int(child))


def _proportional(process: int) -> int:
    """The proportional set size of a process in bytes; 0 when it has gone."""
    lines = _text(f"/proc/{process}/smaps_rollup").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []  # it has gone in the meantime


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""  # it has gone in the meantime
