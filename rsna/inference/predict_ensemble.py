"""Predict with an ensemble: one bundle after the other, in the time that there is, combined per unit. Without torch."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from rsna.competitions.aggregation import with_column
from rsna.errors import RsnaError
from rsna.inference.budget import Limits, make_limits
from rsna.inference.ensemble import Ensemble, combine_units
from rsna.inference.job import PREDICTIONS_FILE, REPORT_FILE, plan_job
from rsna.inference.options import DEFAULTS, PredictOptions, is_rerun, on_kaggle
from rsna.inference.salvage import read_tables
from rsna.inference.supervise import predict_supervised
from rsna.io import atomic_path, read_json, write_json
from rsna.tables import read_parquet, write_csv, write_parquet

logger = logging.getLogger(__name__)

DONE_FILE = "done.json"


def predict_ensemble(
    ensemble: Ensemble,
    data: Path,
    out: Path,
    threshold: float | None = None,
    probability: bool = False,
    options: PredictOptions = DEFAULTS,
) -> dict[str, Any]:
    """Do what `predict_supervised` does with every bundle, one after the other, and combine their units.

    The time that there is is shared out: each bundle gets an equal part of what the ones before it have left. Where a
    bundle had to fill in a unit's image, the unit is left to the others. What was killed goes on where it was.

    Args:
        ensemble: The bundles.
        data: As of `predict_supervised`, like all other arguments.
        out: The submission file; `predictions.parquet` and `predict_report.json` come beside it.
        threshold: Instead of the ensemble's own.
        probability: Write the combined values instead of calls.
        options: Where and how fast.

    Returns:
        The report, with that of every bundle.
    """
    started, limits = time.monotonic(), make_limits(options)
    parts, work = ensemble.spec.parts, out.parent / f".{out.name}.parts"
    cut = None if probability else ensemble.spec.threshold.value if threshold is None else threshold
    reports: dict[int, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    out.unlink(missing_ok=True)
    for number, part in enumerate(parts):
        logger.info("bundle %d of %d: %s, weight %.3f", number + 1, len(parts), part.folder, part.weight)
        share = replace(options, time_limit=_share(limits, len(parts) - number))
        try:
            reports[number] = _predict_part(ensemble, number, data, work / part.folder, share)
        except RsnaError as error:
            if not is_rerun() or (number + 1 == len(parts) and not reports):
                raise
            failed[part.folder] = str(error)
            logger.error("%s is left out: %s", part.folder, error)
        if is_rerun() and reports:  # a kernel that is killed later has a submission
            _write(ensemble, reports, data, work, out, cut)
    _write(ensemble, reports, data, work, out, cut)
    report = _report(ensemble, data, list(reports.values()), cut, time.monotonic() - started) | {"failed": failed}
    write_json(out.parent / REPORT_FILE, report)
    tables = [_read_predictions(work / parts[number].folder, f"{parts[number].folder}/") for number in reports]
    write_parquet(out.parent / PREDICTIONS_FILE, pd.concat(tables, ignore_index=True))
    shutil.rmtree(work)
    return report


def _share(limits: Limits, left: int) -> float | None:
    """The time limit of the next bundle, as its own options count it: on Kaggle from the start of the kernel."""
    if limits.seconds is None:
        return None
    now = time.monotonic()
    return max(1.0, (limits.stop - now) / left) + (now - limits.started if on_kaggle() else 0)


def _predict_part(ensemble: Ensemble, number: int, data: Path, folder: Path, options: PredictOptions) -> dict[str, Any]:
    """The report of one bundle's prediction, which is made only if it is not there yet."""
    part, out = ensemble.spec.parts[number], folder / "submission.csv"
    bundle = ensemble.folder / part.folder
    key = plan_job(bundle, ensemble.bundles[number], data, out, None, True, options).key
    done = folder / DONE_FILE
    if done.is_file() and read_json(done).get("key") == key:
        logger.info("%s is done", part.folder)
        return dict(read_json(folder / REPORT_FILE))
    report = predict_supervised(bundle, data, out, None, True, options, part.digest)
    if not (folder / PREDICTIONS_FILE).is_file():  # a scoring rerun whose disk was full
        raise RsnaError(f"{part.folder} has left no predictions: {'; '.join(report['problems'])}")
    write_json(done, {"key": key})
    return report


def _units(
    ensemble: Ensemble, number: int, data: Path, folder: Path, report: Mapping[str, Any]
) -> tuple[pd.DataFrame, pd.Series]:
    """The units of a bundle's predictions, and which of them it had to fill in."""
    rule, competition = ensemble.bundles[number].rule, ensemble.competition
    predictions = _read_predictions(folder)
    units = competition.aggregate(with_column(predictions, rule, read_tables(competition, data).table), rule)
    failed = {case["image_id"] for case in report["failed"]}
    guessed = predictions.loc[predictions["image_id"].isin(failed), "prediction_id"]
    return units, units["prediction_id"].isin(guessed)


def _combine(ensemble: Ensemble, found: Mapping[int, tuple[pd.DataFrame, pd.Series]]) -> pd.DataFrame:
    """The bundles that have predicted, by their number; a guess counts only where all have guessed."""
    spec, references = ensemble.spec, [ensemble.references()[number] for number in found]
    weights = [spec.parts[number].weight for number in found]
    if not sum(weights):
        weights = [1.0] * len(found)
    names = [str(name) for name in next(iter(found.values()))[0] if str(name).startswith("pred_")]
    sure = [units.assign(**{n: units[n].mask(guessed) for n in names}) for units, guessed in found.values()]
    combined = combine_units(sure, spec.by, weights, references)
    guesses = combine_units([units for units, _ in found.values()], spec.by, weights, references)
    return combined.assign(**{name: combined[name].fillna(guesses[name]) for name in names})


def _write(
    ensemble: Ensemble, reports: Mapping[int, Mapping[str, Any]], data: Path, work: Path, out: Path, cut: float | None
) -> None:
    """Write the submission of the bundles that have predicted, checked against the sample."""
    folders = {number: work / ensemble.spec.parts[number].folder for number in reports}
    units = _combine(ensemble, {n: _units(ensemble, n, data, folders[n], reports[n]) for n in reports})
    rows, competition = units.assign(image_id=units["prediction_id"]), ensemble.competition
    with atomic_path(out) as part:
        write_csv(part, competition.submission(rows, "mean", cut))
        competition.check_submission(part, read_tables(competition, data).sample)


def _read_predictions(folder: Path, prefix: str = "") -> pd.DataFrame:
    table = read_parquet(folder / PREDICTIONS_FILE)
    return table.assign(member=prefix + table["member"])


def _report(
    ensemble: Ensemble, data: Path, reports: Sequence[Mapping[str, Any]], cut: float | None, seconds: float
) -> dict[str, Any]:
    spec, first = ensemble.spec, reports[0]
    return {
        "ensemble": {"folder": str(ensemble.folder), "digest": spec.digest, "commit": spec.commit},
        "by": spec.by,
        "weights": {part.folder: part.weight for part in spec.parts},
        "data": str(data),
        "images": first["images"],
        "units": first["units"],
        "filled": max(report["filled"] for report in reports),
        "seconds": round(seconds, 3),
        "threshold": cut,
        "bundles": list(reports),
    }
