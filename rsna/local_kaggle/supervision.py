"""The end of a session: its own, or the limit of time, memory or disk that it has reached."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rsna.local_kaggle.execution import Outcome, SessionSpec
from rsna.local_kaggle.memory import Meter

POLL_SECONDS = 0.1
DISK_SECONDS = 1.0
DISK_SHARE = 0.05  # of the time may go into looking how full the working folder is
FREE_BYTES = 2**30  # what a session must leave on this machine's disk
MB = 2**20


class Watch:
    """Watches one session. What it has measured can be read from it at any time."""

    def __init__(self, spec: SessionSpec, process: subprocess.Popen[bytes], meter: Meter) -> None:
        """Start to watch."""
        self.spec = spec
        self.process = process
        self.meter = meter
        self.peak_memory = 0
        self.peak_disk = 0
        self.start = time.monotonic()
        self.next_look = self.start + DISK_SECONDS

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.start

    def wait(self, cancelled: threading.Event) -> tuple[Outcome, str]:
        """Wait for the end, or bring it about; returns the outcome, and for a limit what was reached."""
        while self.process.poll() is None:
            if ending := self._ending(cancelled):
                os.killpg(self.process.pid, signal.SIGKILL)  # process 1 of the sandbox is among them, and takes all
                self.process.wait()
                return ending
            time.sleep(POLL_SECONDS)
        return self._too_much_memory() or self._look() or ("complete" if self.process.returncode == 0 else "error", "")

    def _ending(self, cancelled: threading.Event) -> tuple[Outcome, str] | None:
        if cancelled.is_set():
            return "cancelled", "cancelled"
        if self.seconds > self.spec.seconds:
            return "timeout", f"it ran for more than {self.spec.seconds:.0f} s"
        if problem := self._too_much_memory():
            return problem
        return self._look() if time.monotonic() > self.next_look else None

    def _too_much_memory(self) -> tuple[Outcome, str] | None:
        usage = self.meter.usage(self.process.pid)
        self.peak_memory = max(self.peak_memory, usage)
        if not self.meter.exceeded(usage):
            return None
        return "out-of-memory", f"exit status 137: it needed more than {self.meter.limit / MB:.0f} MB of memory"

    def _look(self) -> tuple[Outcome, str] | None:
        """Look how full the disk is."""
        start = time.monotonic()
        used = bytes_below(self.spec.working)
        self.peak_disk = max(self.peak_disk, used)
        now = time.monotonic()
        self.next_look = now + max(DISK_SECONDS, (now - start) / DISK_SHARE)
        if used > self.spec.working_bytes:
            limit = self.spec.working_bytes / MB
            return "out-of-disk", f"/kaggle/working holds {used / MB:.0f} MB; the limit is {limit:.0f} MB"
        if shutil.disk_usage(self.spec.working).free < FREE_BYTES:
            return "out-of-disk", f"less than {FREE_BYTES / MB:.0f} MB are free on this machine's disk"
        return None


def bytes_below(folder: Path) -> int:
    """The size of all files below a folder that may be written to meanwhile."""
    return sum(_sizes(str(folder)))


def _sizes(folder: str) -> Iterator[int]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # what has gone since has no size
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _sizes(entry.path)
            else:
                yield _size(entry)


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0
