"""From the journal to the files: submission, predictions, report. Without torch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import rsna
from rsna.competitions.aggregation import with_column
from rsna.errors import RsnaError, Unfinished
from rsna.inference.fill import SOURCES, fill_missing, prior_table
from rsna.inference.job import Job
from rsna.inference.journal import Journal
from rsna.inference.options import is_rerun
from rsna.inference.predictions import MEAN, prediction_table
from rsna.inference.setting import make_setting
from rsna.io import atomic_path, write_json
from rsna.tables import write_csv, write_parquet

MAX_FILLED = 0.01  # of the images; more than this and a visible run is a failure, not a submission
NOT_REACHED = "not reached in the time limit"


@dataclass(frozen=True, eq=False)
class Results:
    """What is known of every image, with the gaps filled in.

    Attributes:
        values: (N, M, T), NaN where a member did not predict an image.
        tta: (N,) the number of the only augmentation, or -1 for the mean over all.
        reasons: Why an image was filled in, by row.
        source: (N,) where its prediction comes from, an index into `SOURCES`.
        divide: (N,) by what the sides of its picture were divided, for want of time.
    """

    values: np.ndarray
    tta: np.ndarray
    reasons: dict[int, str]
    source: np.ndarray
    divide: np.ndarray

    def table(self, job: Job) -> pd.DataFrame:
        """The prediction table and `divide`; a member that was left out for an image has no row for it."""
        rows = prediction_table(job.table, self.values, job.spec.members, job.targets, self.tta)
        rows["divide"] = np.tile(self.divide, len(job.spec.members))
        known = rows[[f"pred_{name}" for name in job.targets]].notna().all(axis=1)
        return rows[known].reset_index(drop=True)


def assemble(job: Job, journal: Journal, why: str = NOT_REACHED) -> Results:
    """Put the batches of a journal together and fill the gaps; `why` is said of images that nothing is known of."""
    columns = {member.name: index for index, member in enumerate(job.spec.members)}
    values = np.full((len(job.table), len(columns), len(job.targets)), np.nan, np.float32)
    full = make_setting(job.spec, job.options).tta
    tta, divide = np.full(len(job.table), MEAN), np.ones(len(job.table), np.int64)
    reasons = dict.fromkeys(range(len(job.table)), why)
    for number, batch in journal.batches.items():
        rows = job.rows(number)
        values[np.ix_(rows, [columns[name] for name in batch.members])] = batch.values
        if batch.tta != full:
            tta[rows.start : rows.stop] = full.index(batch.tta[0])
        divide[rows.start : rows.stop] = batch.divide
        for row in rows:
            del reasons[row]
        reasons |= batch.failed
    prior = prior_table(job.competition, job.spec.priors, job.table)  # type: ignore[arg-type]
    filled, source = fill_missing(job.table, values, prior)
    return Results(filled, tta, dict(sorted(reasons.items())), source, divide)


def write_submission(job: Job, predictions: pd.DataFrame) -> None:
    """Write the submission and check the file as written; it gets its name only if it fits the sample."""
    with atomic_path(job.out) as part:
        rule = job.spec.rule
        write_csv(part, job.competition.submission(with_column(predictions, rule, job.table), rule, job.cut))
        job.competition.check_submission(part, job.sample)


def write_so_far(job: Job, journal: Journal) -> None:
    """Write a valid submission of what is known by now, so that a run that is cut short has one."""
    write_submission(job, assemble(job, journal).table(job))


def finish(job: Job, journal: Journal, started: float, trouble: str = "") -> dict[str, Any]:
    """Write submission, predictions and report, remove the journal, and return the report.

    Args:
        job: What was to be predicted.
        journal: What was.
        started: When, by `time.monotonic`.
        trouble: Why it ended before it was complete, if not for the time.

    Raises:
        RsnaError: In a visible run that is not complete, or where more than 1 % of the images had to be filled in: the
            report is written, the submission is not. In a rerun that costs only the predictions of those images.
    """
    results = assemble(job, journal, trouble or NOT_REACHED)
    report = make_report(job, journal, results, time.monotonic() - started, trouble)
    predictions = results.table(job)
    if report["rerun"]:
        write_submission(job, predictions)  # first of all: the rest may fail, as on a full disk
    write_json(job.report_path, report)
    if not report["rerun"]:
        _refuse(job, journal, report, trouble)
        write_submission(job, predictions)
    write_parquet(job.predictions_path, predictions)
    journal.remove()
    return report


def _refuse(job: Job, journal: Journal, report: dict[str, Any], trouble: str) -> None:
    """Raise where a visible run is no success. What is done is kept if the same command can go on with it."""
    filled, images, left = report["filled"], report["images"], report["not_reached"]
    if left:
        reason = trouble or "the time limit came"
        raise Unfinished(
            f"{reason} before {left} of {images} images were predicted, so no submission was written; run the same"
            f" command again to go on, see {job.report_path}"
        )
    if filled > MAX_FILLED * images:
        journal.remove()
        raise RsnaError(
            f"{filled} of {images} images could not be used, more than {MAX_FILLED:.0%}, so no submission was written;"
            f" {job.report_path} lists them with their reasons"
        )


def make_report(job: Job, journal: Journal, results: Results, seconds: float, trouble: str = "") -> dict[str, Any]:
    """The report as it is written."""
    spec, count = job.spec, len(job.table)
    reached = sum(len(job.rows(number)) for number in journal.batches)
    sources = [SOURCES[index] for index in results.source]
    return {
        "bundle": {"folder": str(job.bundle), "digest": spec.digest, "commit": spec.commit},
        "rsna": rsna.__version__,
        "data": str(job.data),
        "rerun": is_rerun(),
        "problems": [*job.problems, *filter(None, [trouble])],
        "images": count,
        "units": int(job.table["prediction_id"].nunique()),
        "filled": len(results.reasons),
        "filled_from": {name: sources.count(name) for name in SOURCES[1:]},
        "not_reached": count - reached,
        "failed": _failed(job, results, sources),
        "seconds": round(seconds, 3),
        "seconds_per_image": round(seconds / count, 5),
        "aggregation": spec.aggregation,
        "threshold": job.cut,
        "tta": list(make_setting(spec, job.options).tta),
        "time_limit": job.limits.seconds,
        "steps": journal.steps,
        "restarts": journal.restarts,
        "notes": journal.notes,
    }


def _failed(job: Job, results: Results, sources: list[str]) -> list[dict[str, str]]:
    ids, paths = job.table["image_id"].tolist(), job.table["path"].tolist()
    return [
        {"image_id": ids[row], "path": paths[row], "reason": reason, "filled_from": sources[row]}
        for row, reason in results.reasons.items()
    ]
