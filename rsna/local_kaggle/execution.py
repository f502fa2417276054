"""What a session is to the one that executes it. Everything about where and how it runs is a runner's business."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from rsna.local_kaggle.mounts import Mount

Outcome = Literal["complete", "error", "timeout", "out-of-memory", "out-of-disk", "cancelled"]


@dataclass(frozen=True)
class SessionSpec:
    """One run of a notebook or script.

    Attributes:
        name: For messages: `owner/slug v3`.
        source: As it was pushed: the JSON of a notebook, or the text of a script.
        type: Which of the two.
        language: `python`; others cannot be run here.
        mounts: What lies where below `/kaggle/input`, read-only. Files as well as folders; parents before children.
        working: An empty folder on this machine, to be `/kaggle/working` and to keep what the session leaves there:
            its files, and for a notebook `__notebook__.ipynb`.
        scratch: An empty folder for the runner's own files, deleted after the run.
        modules: A folder of Python modules that Kaggle's image has of its own (`kaggle_secrets`); to be on the path.
        environment: Variables that Kaggle sets, besides what the runner needs; nothing else may be inherited.
        internet: Whether the session may reach the network.
        gpu: Whether it asked for an accelerator.
        docker_image: The image it is pinned to, or ''.
        seconds: The longest it may run.
        memory_bytes: The most memory.
        working_bytes: The most that may lie in `working`.
    """

    name: str
    source: str
    type: Literal["notebook", "script"]
    language: str
    mounts: tuple[Mount, ...]
    working: Path
    scratch: Path
    modules: Path
    environment: Mapping[str, str]
    internet: bool
    gpu: bool
    docker_image: str
    seconds: float
    memory_bytes: int
    working_bytes: int


@dataclass(frozen=True)
class SessionResult:
    """How a run ended.

    Attributes:
        outcome: `error` is the notebook's own failure; the limits have their own words.
        message: One line: the exception, the limit.
        seconds: It took.
        sandboxed: Whether it ran with nothing but its mounts, its packages and its limits.
        proven_offline: Whether it ran without a network that it could have used.
        peak_memory: In bytes, where it was measured.
        peak_disk: Of the working folder in bytes, where it was measured.
    """

    outcome: Outcome
    message: str = ""
    seconds: float = 0.0
    sandboxed: bool = False
    proven_offline: bool = False
    peak_memory: int | None = None
    peak_disk: int | None = None


@dataclass(frozen=True)
class LogRecord:
    """A piece of a session's log, with the seconds since the session's start."""

    stream_name: Literal["stdout", "stderr"]
    time: float
    data: str


class Runner(Protocol):
    """Executes sessions, several at once from several threads.

    Attributes:
        sandboxed: Whether it hides this machine from them.
    """

    sandboxed: bool

    def run(self, spec: SessionSpec, log: Callable[[LogRecord], None], cancelled: threading.Event) -> SessionResult:
        """Execute a session to its end.

        Args:
            spec: What to run.
            log: To be called with every line as it comes, from one thread at a time.
            cancelled: Once it is set, the session's processes must be gone within two seconds; outcome `cancelled`.

        Raises:
            RsnaError: Where the session could not be started; it then fails with this message.
        """
