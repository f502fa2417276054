"""The work itself: planned batches, in table order, into the journal, within the time that there is."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from rsna import faults
from rsna.data.views import sample_pictures
from rsna.imaging import Outcome, RegionFinder
from rsna.inference.budget import Watch, describe
from rsna.inference.bundle import Bundle
from rsna.inference.engines import Engine, choose_engine
from rsna.inference.images import NO_NUMBER, choose_finder, decode, no_numbers
from rsna.inference.job import Job
from rsna.inference.journal import Batch, Journal
from rsna.inference.lean import LEVELS, Lean
from rsna.inference.predictor import Image, Predictor, choose_device
from rsna.inference.schema import Step
from rsna.inference.setting import Setting, make_setting, next_steps
from rsna.log import progress

logger = logging.getLogger(__name__)

SHM = Path("/dev/shm")
SMALL_SHM = 2**30  # bytes
TRIAL = 4  # pictures at most that engines are compared on


def predict_missing(bundle: Bundle, job: Job, journal: Journal, lean: Lean = LEVELS[0], attempt: int = 0) -> None:
    """Predict the planned batches that a journal lacks, until all are there or the time is over.

    Where time is short the bundle's next step is taken and recorded, and the rest predicted with what it leaves.

    Args:
        bundle: The models.
        job: What to predict.
        journal: Where it goes.
        lean: How much memory may be taken.
        attempt: How many processes have ended before this one.
    """
    note_small_shm()
    finder, trouble = choose_finder(bundle)
    if trouble and trouble not in journal.notes:
        journal.add("note", text=trouble)
    work = _Work(bundle, job, journal, lean, attempt, finder)
    while (todo := journal.missing(job.batches)) and not job.limits.over:
        if lean.careful:
            work.careful(todo[0])
            return
        work.run(todo)


@dataclass(frozen=True)
class _Work:
    """What does not change while a process predicts."""

    bundle: Bundle
    job: Job
    journal: Journal
    lean: Lean
    attempt: int
    finder: RegionFinder | None

    def run(self, todo: Sequence[int]) -> None:
        """Predict batches until they are done, the time is over, or a step is due, which is recorded."""
        setting, job = self._setting(), self.job
        predictor = self._predictor(setting, max(1, job.options.batch_size // self.lean.divide_batch))
        rows = [row for number in todo for row in job.rows(number)]
        failures: dict[int, str] = {}
        watch = Watch(job.limits, len(rows))
        with (
            closing(self._samples(setting, rows, failures)) as samples,
            closing(predictor.stream(progress(samples, "predict", len(rows)), todo)) as stream,
        ):
            for number, values in zip(todo, stream, strict=True):
                self._record(number, setting, values, failures, predictor)
                watch.add(len(values))
                if job.limits.over or (watch.late and self._step_down(setting, number, watch)):
                    return

    def careful(self, number: int) -> None:
        """Predict one batch image by image, each named before it is touched, to find the one that kills processes."""
        setting, rows = self._setting(), self.job.rows(number)
        predictor = self._predictor(setting, 1)
        failures: dict[int, str] = {}
        values = [
            predictor.batch([sample], number) for row in rows for sample in self._samples(setting, [row], failures)
        ]
        self._record(number, setting, np.concatenate(values), failures, predictor)

    def _setting(self) -> Setting:
        return make_setting(self.job.spec, self.job.options, self._taken())

    def _taken(self) -> list[Step]:
        return [step["step"] for step in self.journal.steps]

    def _predictor(self, setting: Setting, chunk: int) -> Predictor:
        options = self.job.options
        device = "cpu" if self.lean.cpu else options.device
        size = 1 if self.lean.careful else options.batch_size
        models, seen = self.bundle.models(setting.members), setting.input(self.bundle.config.data.input)
        engine = self._engine(setting, models, min(chunk, TRIAL), device)
        return Predictor(models, seen, device, size, setting.tta, options.amp, chunk, engine)

    def _engine(self, setting: Setting, models: list[nn.Module], batch: int, device: str) -> Engine | None:
        """The bundle's engine, made for all members and the full size; None where torch is to be asked."""
        spec, options, size = self.bundle.spec, self.job.options, self.bundle.config.data.input
        if options.amp or setting.members != spec.members or setting.divide > 1:
            return None
        shape = (batch, self.bundle.config.model.views.count, size.channels, size.height, size.width)
        where = choose_device(device)
        engine, name = choose_engine(self.bundle.folder, spec.engines, lambda: models, shape, where, options.engine)
        logger.info("engine %s", name)
        return None if name == "torch" else engine

    def _samples(self, setting: Setting, rows: Sequence[int], failures: dict[int, str]) -> Generator[Image, None, None]:
        """What the models see of some rows, in order; pictures of several views are read for all that show them."""
        views = self.bundle.config.model.views
        return sample_pictures(self.job.table, views, rows, lambda needed: self._pictures(setting, needed, failures))

    def _pictures(
        self, setting: Setting, rows: Sequence[int], failures: dict[int, str]
    ) -> Generator[np.ndarray | None, None, None]:
        """The pictures of some rows in order, None for one that cannot be used, whose reason goes to `failures`."""
        skipped, table = self.job.unusable | self.journal.skipped, self.job.table
        paths = table["path"].iloc[[row for row in rows if row not in skipped]].tolist()
        imaging, workers = setting.imaging(self.bundle.config.data.imaging), self.lean.workers(self.job.options.workers)
        with closing(decode(self.job.data, paths, imaging, workers, self.finder)) as outcomes:
            for row in rows:
                self.journal.mark(row)
                outcome = Outcome(row, error=skipped[row]) if row in skipped else next(outcomes)
                if row not in skipped:
                    faults.strike(row, self.attempt)
                if outcome.error is not None:
                    failures[row] = outcome.error
                    logger.warning("image %s cannot be used: %s", table["image_id"].iloc[row], outcome.error)
                yield outcome.value

    def _record(
        self, number: int, setting: Setting, values: np.ndarray, failures: dict[int, str], predictor: Predictor
    ) -> None:
        rows = self.job.rows(number)
        for slot in no_numbers(values):
            failures.setdefault(rows[slot], NO_NUMBER)
        failed = {row: failures.pop(row) for row in rows if row in failures}
        while predictor.notes:
            self.journal.add("note", text=predictor.notes.pop(0))
        members = tuple(member.name for member in setting.members)
        self.journal.add_batch(number, Batch(members, setting.tta, values, failed, setting.divide))

    def _step_down(self, setting: Setting, number: int, watch: Watch) -> bool:
        """Record the next step of the bundle that changes anything and that its models take; False without one."""
        for step in next_steps(self.job.spec, setting, self._taken()):
            if not self._works(setting.after(step)):
                logger.warning("time is short, but the models do not take %s", step)
                continue
            left = self.job.limits.stop - time.monotonic()
            logger.warning("%s left for %s of work: from here on %s", describe(left), describe(watch.needed), step)
            self.journal.add(
                "step", step=step, batch=number + 1, needed_s=round(watch.needed, 1), left_s=round(left, 1)
            )
            return True
        return False

    def _works(self, setting: Setting) -> bool:
        """Whether the models take a resolution; not all do."""
        if setting.divide == 1:
            return True
        try:
            self._predictor(replace(setting, members=setting.members[:1]), 1).batch([None])
        except (RuntimeError, ValueError, AssertionError) as error:
            logger.warning("half the resolution: %s", error)
            return False
        return True


def note_small_shm() -> None:
    """Say where `/dev/shm` is small: other programs fail there, this one does not use it."""
    try:
        free = shutil.disk_usage(SHM).free
    except OSError:
        return
    if free < SMALL_SHM or faults.at("small-shm", 1):
        logger.info("%s has only %d MB; pictures go over sockets, so that does no harm", SHM, free // 2**20)
