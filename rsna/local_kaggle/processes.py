"""A session's process: its output as log records, its end in time."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, Literal

from rsna.local_kaggle.execution import LogRecord, Outcome

POLL_SECONDS = 0.1


def follow(
    process: subprocess.Popen[bytes], log: Callable[[LogRecord], None], start: float
) -> Sequence[threading.Thread]:
    """Start to log what a process writes, line by line."""
    lock = threading.Lock()

    def read(stream: IO[bytes], name: Literal["stdout", "stderr"]) -> None:
        for line in iter(lambda: stream.readline(65536), b""):
            with lock:
                log(LogRecord(name, time.monotonic() - start, line.decode("utf-8", "replace")))

    pipes: list[tuple[IO[bytes] | None, Literal["stdout", "stderr"]]]
    pipes = [(process.stdout, "stdout"), (process.stderr, "stderr")]
    threads = [threading.Thread(target=read, args=(pipe, name), daemon=True) for pipe, name in pipes if pipe]
    for thread in threads:
        thread.start()
    return threads


def wait(process: subprocess.Popen[bytes], seconds: float, cancelled: threading.Event) -> Outcome:
    """Wait for a process, and end it with all its children when its time is over or nobody wants it any more."""
    deadline = time.monotonic() + seconds
    ended: Outcome | None = None
    while process.poll() is None:
        ended = "timeout" if time.monotonic() > deadline else "cancelled" if cancelled.is_set() else None
        if ended:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return ended
        time.sleep(POLL_SECONDS)
    return "complete" if process.returncode == 0 else "error"
