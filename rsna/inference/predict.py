"""From a folder of test images and a bundle to a checked submission: what `rsna predict` and the notebook call."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pandas as pd

import rsna
from rsna.competitions.submission import check_ids
from rsna.errors import InputError, RsnaError
from rsna.inference.bundle import Bundle
from rsna.inference.images import DEFAULTS, PredictOptions, predict_images
from rsna.inference.predictions import fill_missing, prediction_table
from rsna.io import atomic_path, ensure_dir, write_json
from rsna.tables import write_csv, write_parquet

PREDICTIONS_FILE = "predictions.parquet"
REPORT_FILE = "predict_report.json"
MAX_FILLED = 0.01  # of the images; more than this and a visible run is a failure, not a submission


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
    cannot be used is filled in (see `fill_missing`), counted and listed there with its reason.

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
        RsnaError: In a visible run, where more than 1 % of the images had to be filled in: the report is written, the
            submission is not. In a scoring rerun that costs only the predictions of those images.
    """
    if probability and threshold is not None:
        raise InputError("--probability writes no calls, so --threshold says nothing; give one of them")
    cut = None if probability else bundle.spec.threshold.value if threshold is None else threshold
    table, sample = _read_test(bundle, data)
    _clear(out)
    start = time.perf_counter()
    probabilities, failures = predict_images(bundle, table, data, bundle.spec.members, options)
    report = _report(bundle, data, table, failures, cut, options, time.perf_counter() - start)
    write_json(out.parent / REPORT_FILE, report)
    _check_filled(report, out.parent / REPORT_FILE)
    filled = fill_missing(table, probabilities, bundle.prior)
    predictions = prediction_table(table, filled, bundle.spec.members, bundle.targets)
    _write_submission(bundle, predictions, sample, cut, out)
    write_parquet(out.parent / PREDICTIONS_FILE, predictions)
    return report


def _read_test(bundle: Bundle, data: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The test table and the sample; that they ask for the same units is checked before hours of work, not after."""
    competition = bundle.competition
    table, sample = competition.test_table(data), competition.sample_submission(data)
    check_ids(table["prediction_id"].drop_duplicates(), sample[competition.format.id], str(data / "test.csv"))
    return table, sample


def _clear(out: Path) -> None:
    """Make room for the output. What an earlier run left must not be taken for the result of a run that failed."""
    ensure_dir(out.parent)
    if out.is_dir():
        raise InputError(f"{out} is a folder; name the file of the submission, such as {out / 'submission.csv'}")
    for path in (out, out.parent / PREDICTIONS_FILE, out.parent / REPORT_FILE):
        path.unlink(missing_ok=True)


def _report(
    bundle: Bundle,
    data: Path,
    table: pd.DataFrame,
    failures: dict[str, str],
    threshold: float | None,
    options: PredictOptions,
    seconds: float,
) -> dict[str, Any]:
    paths = dict(zip(table["image_id"], table["path"], strict=True))
    return {
        "bundle": {"folder": str(bundle.folder), "digest": bundle.spec.digest, "commit": bundle.spec.commit},
        "rsna": rsna.__version__,
        "data": str(data),
        "rerun": is_rerun(),
        "images": len(table),
        "units": int(table["prediction_id"].nunique()),
        "filled": len(failures),
        "failed": [{"image_id": i, "path": paths[i], "reason": reason} for i, reason in failures.items()],
        "seconds": round(seconds, 3),
        "seconds_per_image": round(seconds / len(table), 5),
        "aggregation": bundle.spec.aggregation,
        "threshold": threshold,
        "tta": list(options.tta or bundle.spec.tta),
    }


def _check_filled(report: dict[str, Any], path: Path) -> None:
    filled, images = report["filled"], report["images"]
    if filled > MAX_FILLED * images and not report["rerun"]:
        raise RsnaError(
            f"{filled} of {images} images could not be used, more than {MAX_FILLED:.0%}, so no submission was written;"
            f" {path} lists them with their reasons"
        )


def _write_submission(
    bundle: Bundle, predictions: pd.DataFrame, sample: pd.DataFrame, threshold: float | None, out: Path
) -> None:
    """Write the submission and check the file as written; it gets its name only if it fits the sample."""
    competition = bundle.competition
    with atomic_path(out) as part:
        write_csv(part, competition.submission(predictions, bundle.spec.aggregation, threshold))
        competition.check_submission(part, sample)


def is_rerun() -> bool:
    """Whether Kaggle is running this notebook on the hidden test, where nobody can look and every row counts."""
    return bool(os.environ.get("KAGGLE_IS_COMPETITION_RERUN"))
