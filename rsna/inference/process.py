"""One process that predicts, watched by its parent. Without torch."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from rsna.errors import InputError, RsnaError
from rsna.inference.budget import describe
from rsna.inference.child import Order
from rsna.inference.job import Job
from rsna.inference.journal import Journal
from rsna.inference.output import write_so_far
from rsna.io import read_json

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
REFRESH_SECONDS = 60.0  # between two submissions of what is known so far
HANG_SECONDS = 900.0  # without a sign of life; starting takes minutes, and so does a batch of a large model on a CPU
LEAST_SILENCE = 240.0  # once it is known how fast it goes; four decoders may hang at one file, 60 s each
SILENCE_FACTOR = 10.0  # times the longest silence so far


class Process:
    """One process that predicts.

    Args:
        job: What is to be predicted.
        journal: Where it writes.
        level: How much it may take, an index into `LEVELS`.
        attempt: How many processes there were before.
    """

    def __init__(self, job: Job, journal: Journal, level: int, attempt: int) -> None:
        self.job, self.journal = job, journal
        self.order = Order.of(job, level, attempt)
        self.refreshed = self.heard = time.monotonic()
        self.written = self.before = len(journal.batches)
        self.beat = self.longest = 0.0

    def watch(self) -> str:
        """Run it to its end, or to the end of the time. Returns why it died; empty where it did not.

        Raises:
            InputError: The child's own: another process would find the same.
        """
        self.journal.running.unlink(missing_ok=True)
        self.journal.error.unlink(missing_ok=True)
        process = self._start()
        reason = ""
        try:
            while process.poll() is None and not self.job.limits.over:
                silence = self._listen()
                if silence > self._patience():
                    reason = f"it gave no sign of life for {describe(silence)}"
                    break
                self._refresh()
                time.sleep(POLL_SECONDS)
            timely = process.poll() is None and not reason
        finally:
            process.kill()
            process.wait()
        self.journal.cut()
        self.journal.poll()
        return "" if timely or process.returncode == 0 else reason or self._reason(process.returncode)

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
        direct = sys.stderr is not None and sys.stderr.isatty()
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rsna.inference.child"],
            stdin=subprocess.PIPE,
            stdout=2 if direct else subprocess.PIPE,
            stderr=None if direct else subprocess.STDOUT,
            pass_fds=(self.journal.lock,),
            env=os.environ | {"PYTHONPATH": path},
        )
        if process.stdout is not None:  # a notebook shows what is written to `sys.stderr`, not to the descriptor
            threading.Thread(target=_forward, args=(process.stdout,), daemon=True).start()
        assert process.stdin is not None
        try:
            process.stdin.write(self.order.dump())
            process.stdin.flush()
        except BrokenPipeError:
            logger.debug("the process has ended before it had read its order")
        return process

    def _listen(self) -> float:
        """Seconds since the last sign of life, by this process's clock: that of files may be set meanwhile."""
        now = time.monotonic()
        try:
            beat = self.journal.running.stat().st_mtime
        except FileNotFoundError:
            beat = 0.0
        if beat != self.beat:
            self.longest = max(self.longest, now - self.heard)
            self.beat, self.heard = beat, now
            self.journal.poll()
        return now - self.heard

    def _patience(self) -> float:
        """How long a silence may be: relative to those before, once two batches tell how long the models take."""
        if len(self.journal.batches) < self.before + 2:
            return HANG_SECONDS
        return min(HANG_SECONDS, max(LEAST_SILENCE, SILENCE_FACTOR * self.longest))

    def _refresh(self) -> None:
        """Replace the submission by a better one, now and then."""
        if time.monotonic() - self.refreshed > REFRESH_SECONDS and len(self.journal.batches) > self.written:
            self.refreshed, self.written = time.monotonic(), len(self.journal.batches)
            try:
                write_so_far(self.job, self.journal)
            except (OSError, RsnaError) as error:
                logger.warning("the submission could not be replaced by a better one: %s", error)

    def _reason(self, status: int) -> str:
        """Why the process has ended, from what it left or from its status."""
        if self.journal.error.exists():
            error = read_json(self.journal.error)
            if error["input"]:
                raise InputError(error["text"])
            return str(error["text"])
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def _forward(stream: Any) -> None:
    """Pass on, line by line, what a process says."""
    for line in stream:
        sys.stderr.write(line.decode("utf-8", "replace"))
        sys.stderr.flush()
