"""A small parent that outlives the process that predicts: whatever happens to it, there is a submission in the end.

It knows neither torch nor CUDA. A process that died is followed by another one, which goes on from the journal: the
same way where the last one had finished some batches, else with less (`LEVELS`). One image that kills every process is
found and skipped.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsna.errors import InputError, RsnaError
from rsna.inference.budget import describe
from rsna.inference.child import Order
from rsna.inference.job import Job, clear, plan_job
from rsna.inference.journal import Journal
from rsna.inference.lean import CAREFUL, EXACT, LEVELS, leaner
from rsna.inference.options import DEFAULTS, PredictOptions, is_rerun
from rsna.inference.output import MAX_FILLED, finish, write_so_far
from rsna.inference.schema import read_spec
from rsna.io import read_json

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
REFRESH_SECONDS = 60.0  # between two submissions of what is known so far
HANG_SECONDS = 900.0  # without a sign of life; a batch of a large model takes minutes on a CPU
MAX_STARTS = 8  # processes in a row that die before they have loaded what they need
MOST_SKIPPED = 100  # images in a scoring rerun


def predict_supervised(
    bundle: Path,
    data: Path,
    out: Path,
    threshold: float | None = None,
    probability: bool = False,
    options: PredictOptions = DEFAULTS,
    digest: str = "",
) -> dict[str, Any]:
    """Do what `predict_folder` does in a process of its own, and outlive it.

    A valid submission lies there from the start, first of priors, then of what is known so far. A visible run that
    fails takes it away again.

    Args:
        bundle: The folder of the bundle.
        data: Holds `test.csv`, `sample_submission.csv` and `test_images/`.
        out: The submission file.
        threshold: Call positive what lies above it, instead of the bundle's own threshold.
        probability: Write the probabilities instead of calls.
        options: Where and how fast.
        digest: The bundle that is expected.

    Returns:
        The report.

    Raises:
        InputError: For a wrong bundle, folder, table or option.
        RsnaError: In a visible run that is not complete or had to fill in too much; never in a scoring rerun.
    """
    started = time.monotonic()
    spec = read_spec(bundle, digest)
    job = plan_job(bundle, spec, data, out, threshold, probability, options)
    with job.journal() as journal:
        clear(job)
        try:
            write_so_far(job, journal)
            trouble = Supervisor(job, journal).run()
            return finish(job, journal, started, trouble)
        except BaseException:
            if not is_rerun():
                job.out.unlink(missing_ok=True)
            raise


@dataclass
class Supervisor:
    """Starts one process after the other until the journal is complete or the time over.

    Attributes:
        job: What is to be predicted.
        journal: Where the processes write.
        level: How much the next process may take, an index into `LEVELS`.
        attempt: How many processes there were.
        starts: How many in a row died before they had loaded what they need.
    """

    job: Job
    journal: Journal
    level: int = 0
    attempt: int = 0
    starts: int = 0

    def run(self) -> str:
        """Work until there is nothing left to do. Returns why it gave up before; empty where it did not."""
        while self.journal.missing(self.job.batches) and not self.job.limits.over:
            done = len(self.journal.batches)
            try:
                reason = _Child(self.job, self.journal, self.level, self.attempt).watch()
            except OSError as error:  # not even a process can be started, or the disk is full
                reason = str(error)
            self.attempt += 1
            progress = len(self.journal.batches) > done
            if progress and not reason:
                self.level = min(self.level, EXACT)  # after a careful one
            elif not self.job.limits.over and (trouble := self._after_death(reason or "it left no result", progress)):
                logger.error("%s", trouble)
                return trouble
        return ""

    def _after_death(self, reason: str, progress: bool) -> str:
        """Choose how to go on; returns why it cannot."""
        row = self.journal.marked
        self.starts = self.starts + 1 if row is None else 0
        if progress:
            self.level = max(self.level, min(self.level + 1, EXACT))
        elif row is None:
            time.sleep(min(1.0, max(0.0, self.job.limits.stop - time.monotonic())))
        elif self.level == CAREFUL:
            self._skip(row, reason)
        else:
            self.level = leaner(self.level, self.job.options.device)
        text = LEVELS[self.level].text
        self.journal.add("restart", reason=reason, next=text, batches=len(self.journal.batches))
        logger.warning("the process that predicts has ended (%s); another one goes on, %s", reason, text)
        if self.starts >= MAX_STARTS:
            return f"the process that predicts did not start {self.starts} times ({reason})"
        if len(self.journal.skipped) > self._most_skipped():
            return f"{len(self.journal.skipped)} images have killed the process that predicts ({reason})"
        return ""

    def _skip(self, row: int, reason: str) -> None:
        image = self.job.table["image_id"].iloc[row]
        logger.warning("image %s has killed one process after the other; it is skipped", image)
        self.journal.add("skip", row=row, reason=f"it ends the process that predicts ({reason})")

    def _most_skipped(self) -> int:
        """A visible run fails anyway where more than this is filled in."""
        return MOST_SKIPPED if is_rerun() else max(1, int(MAX_FILLED * len(self.job.table)))


class _Child:
    """One process that predicts."""

    def __init__(self, job: Job, journal: Journal, level: int, attempt: int) -> None:
        self.job, self.journal = job, journal
        self.order = Order.of(job, level, attempt)
        self.refreshed = time.monotonic()

    def watch(self) -> str:
        """Run it to its end, or to the end of the time. Returns why it died; empty where it did not.

        Raises:
            InputError: The child's own: another process would find the same.
        """
        self.journal.running.unlink(missing_ok=True)
        self.journal.error.unlink(missing_ok=True)
        started = time.monotonic()
        process = self._start()
        reason = ""
        try:
            while process.poll() is None and not self.job.limits.over:
                if self._silence(started) > HANG_SECONDS:
                    reason = f"it gave no sign of life for {describe(HANG_SECONDS)}"
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

    def _silence(self, started: float) -> float:
        """Seconds since the last sign of life."""
        try:
            return time.time() - self.journal.running.stat().st_mtime
        except FileNotFoundError:
            return time.monotonic() - started

    def _refresh(self) -> None:
        """Replace the submission by a better one, now and then."""
        if time.monotonic() - self.refreshed > REFRESH_SECONDS and self.journal.poll():
            self.refreshed = time.monotonic()
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
