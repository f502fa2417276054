"""From a folder of test images and a bundle to a checked submission, in this process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rsna.inference.bundle import Bundle
from rsna.inference.job import REPORT_FILE, clear, plan_job
from rsna.inference.options import DEFAULTS, PredictOptions, is_rerun
from rsna.inference.output import finish
from rsna.inference.run import predict_missing

__all__ = ["REPORT_FILE", "is_rerun", "predict_folder"]


def predict_folder(
    bundle: Bundle,
    data: Path,
    out: Path,
    threshold: float | None = None,
    probability: bool = False,
    options: PredictOptions = DEFAULTS,
) -> dict[str, Any]:
    """Predict the test images of a competition's folder and write a submission that fits its sample.

    Beside `out` come `predictions.parquet`, one row per image and member, and `predict_report.json`. An image that
    cannot be used is filled in (see `fill_missing`), counted and listed there with its reason. What was killed goes on
    where it was when it is called again. `predict_supervised` does the same and outlives a crash.

    Args:
        bundle: The models, with the way their input is made.
        data: Holds `test.csv`, `sample_submission.csv` and `test_images/`.
        out: The submission file.
        threshold: Call positive what lies above it, instead of the bundle's own threshold.
        probability: Write the probabilities instead of calls.
        options: Where and how fast.

    Returns:
        The report.

    Raises:
        InputError: For a wrong folder, table or option.
        RsnaError: In a visible run, where the time limit came first or more than 1 % of the images had to be filled in:
            the report is written, the submission is not. In a scoring rerun that costs only their predictions.
    """
    started = time.monotonic()
    job = plan_job(bundle.folder, bundle.spec, data, out, threshold, probability, options)
    with job.journal() as journal:
        clear(job)
        predict_missing(bundle, job, journal)
        return finish(job, journal, started)
