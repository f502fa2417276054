"""A small parent that outlives the process that predicts: whatever happens to it, there is a submission in the end.

It knows neither torch nor CUDA. A process that died is followed by another one, which goes on from the journal: the
same way where the last one had finished some batches, else with less (`LEVELS`). One image that kills every process is
found and skipped.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsna.errors import InputError, RsnaError
from rsna.inference.job import Job, clear, plan_job
from rsna.inference.journal import Journal
from rsna.inference.lean import CAREFUL, EXACT, LEVELS, leaner
from rsna.inference.options import DEFAULTS, PredictOptions, is_rerun
from rsna.inference.output import MAX_FILLED, assemble, finish, make_report, write_so_far
from rsna.inference.process import Process
from rsna.inference.schema import read_spec
from rsna.plain import one_line

logger = logging.getLogger(__name__)

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
        InputError: For a wrong bundle, folder, table or option; in a scoring rerun only where no priors or no units can
            be found to begin with.
        RsnaError: In a visible run that is not complete or had to fill in too much.
    """
    started = time.monotonic()
    spec = read_spec(bundle, digest)
    job = plan_job(bundle, spec, data, out, threshold, probability, options)
    for problem in job.problems:
        logger.error("%s", problem)
    with job.journal() as journal:
        clear(job)
        try:
            write_so_far(job, journal)
            trouble = Supervisor(job, journal).run()
            return finish(job, journal, started, trouble)
        except BaseException as error:
            if is_rerun() and isinstance(error, OSError | RsnaError) and job.out.is_file():
                return _keep(job, journal, started, error)
            if not is_rerun():
                job.out.unlink(missing_ok=True)
            raise


def _keep(job: Job, journal: Journal, started: float, error: Exception) -> dict[str, Any]:
    """The report of a scoring rerun that could not be finished, as with a full disk: what was written before stays."""
    reason = f"the last submission that could be written stays: {one_line(error)}"
    logger.error("%s", reason)
    return make_report(job, journal, assemble(job, journal, reason), time.monotonic() - started, reason)


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
                reason = Process(self.job, self.journal, self.level, self.attempt).watch()
            except OSError as error:  # not even a process can be started, or the disk is full
                reason = str(error)
            except InputError as error:  # another process would find the same
                if not is_rerun():
                    raise
                logger.error("%s", error)
                return str(error)
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
