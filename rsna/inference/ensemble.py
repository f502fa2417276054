"""Several bundles as one: each predicts for itself, their scored units are combined.

The folder of an ensemble holds `ensemble.json` and one sub-folder per bundle. Whatever works on a bundle works on its
parts; what is fitted is fitted elsewhere (`rsna.ensembling`). Without torch.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rsna.competitions import Competition, Threshold, create_competition
from rsna.competitions.aggregation import with_column
from rsna.config import dump, load
from rsna.errors import InputError, RsnaError
from rsna.inference.budget import Limits, make_limits
from rsna.inference.job import REPORT_FILE, plan_job
from rsna.inference.options import DEFAULTS, PredictOptions, is_rerun, on_kaggle
from rsna.inference.schema import OOF_FILE, PROVENANCE, BundleSpec, read_spec
from rsna.inference.supervise import predict_supervised
from rsna.io import atomic_path, digest, read_json, write_json
from rsna.tables import read_parquet, write_csv, write_parquet

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

ENSEMBLE_FILE = "ensemble.json"
SCHEMA_VERSION = 1
DONE_FILE = "done.json"
PREDICTIONS_FILE = "predictions.parquet"

By = Literal["mean", "rank", "weights"]


@dataclass(frozen=True)
class Part:
    """One bundle of an ensemble.

    Attributes:
        folder: A plain name below the ensemble's folder.
        digest: Of the bundle.
        weight: Its share, in [0, 1].
    """

    folder: str
    digest: str
    weight: float

    def __post_init__(self) -> None:
        if self.folder != Path(self.folder).name or "\\" in self.folder or self.folder.startswith("."):
            raise ValueError(f"the part {self.folder!r} is not a plain folder name")
        if not 0 <= self.weight <= 1:
            raise ValueError(f"the weight of {self.folder} must lie in [0, 1], got {self.weight:g}")


@dataclass(frozen=True)
class EnsembleSpec:
    """The file `ensemble.json`.

    Attributes:
        competition: A registered competition.
        by: `mean` and `weights` average the units' probabilities, `rank` their ranks (see `combine`).
        threshold: Of the combined units, chosen on the out-of-fold predictions.
        parts: The bundles, whose weights sum to one.
        commit: The code that made it.
        dirty: Whether that code differed from the commit.
        created: UTC, ISO 8601.
        schema_version: Of the file.
    """

    competition: str
    by: By
    threshold: Threshold
    parts: tuple[Part, ...]
    commit: str = ""
    dirty: bool = False
    created: str = ""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if len({part.folder for part in self.parts}) < max(2, len(self.parts)):
            raise ValueError("an ensemble has at least two parts, each in a folder of its own")
        if abs(sum(part.weight for part in self.parts) - 1) > 1e-6:
            raise ValueError("the weights of an ensemble sum to one")
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema version {self.schema_version}, this program reads {SCHEMA_VERSION}")

    @property
    def digest(self) -> str:
        """One SHA-256 for the whole content, the bundles included, but for which code made it, and when."""
        return digest({key: value for key, value in dump(self).items() if key not in PROVENANCE})


@dataclass(frozen=True)
class Ensemble:
    """An ensemble whose parts are the ones that it names.

    Attributes:
        folder: Where it lies.
        spec: Its `ensemble.json`.
        bundles: The `bundle.json` of each part.
    """

    folder: Path
    spec: EnsembleSpec
    bundles: tuple[BundleSpec, ...]

    @classmethod
    def open(cls, folder: str | Path, digest: str = "") -> Ensemble:
        """Read an ensemble and compare the digests. The files of a part are verified before it predicts.

        Raises:
            InputError: For another ensemble than the expected one, and a part that is missing or another bundle.
        """
        root = Path(folder)
        path = root / ENSEMBLE_FILE
        if not path.is_file():
            raise InputError(f"{root} is no ensemble: it has no {ENSEMBLE_FILE}; make one with `rsna ensemble`")
        spec = load(EnsembleSpec, read_json(path), str(path))
        if digest and spec.digest != digest:
            raise InputError(f"{root} is the ensemble {spec.digest[:12]}, expected was {digest[:12]}")
        bundles = tuple(read_spec(root / part.folder, part.digest) for part in spec.parts)
        if other := [b.competition for b in bundles if b.competition != spec.competition]:
            raise InputError(f"{path} is for {spec.competition}, one of its bundles for {other[0]}")
        return cls(root, spec, bundles)

    @property
    def competition(self) -> Competition:
        """Whose units it predicts."""
        return create_competition(self.spec.competition)

    def references(self) -> list[pd.DataFrame]:
        """The out-of-fold units of every part, against which ranks are taken."""
        folders = (self.folder / part.folder for part in self.spec.parts)
        return [
            self.competition.aggregate(read_parquet(folder / OOF_FILE), bundle.rule)
            for folder, bundle in zip(folders, self.bundles, strict=True)
        ]


def is_ensemble(folder: Path) -> bool:
    """Whether a folder holds an ensemble, not a bundle."""
    return (folder / ENSEMBLE_FILE).is_file()


def to_ranks(values: Floats, reference: Floats) -> Floats:
    """Ranks in [0, 1] of predictions (N,) among the out-of-fold ones of the same bundle (R,), NaN left out.

    Ranks among the test's own predictions would depend on how many there are: a visible run has a handful, and a
    threshold would mean something else there.
    """
    known = np.sort(reference[~np.isnan(reference)])
    levels, first, count = np.unique(known, return_index=True, return_counts=True)
    middle = (first + (count - 1) / 2 + 0.5) / len(known)
    return np.asarray(np.interp(values, levels, middle), np.float64)  # NaN stays NaN


def combine(values: Floats, weights: Sequence[float]) -> Floats:
    """The weighted mean (N,) of predictions (N, P); a NaN does not count, all NaN stays NaN."""
    shares = np.where(np.isnan(values), 0, np.asarray(weights, np.float64))
    total = shares.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((np.nan_to_num(values) * shares).sum(axis=1) / total, np.float64)


def combine_units(
    units: Sequence[pd.DataFrame], by: By, weights: Sequence[float], references: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    """The units of several bundles as one table.

    Args:
        units: Per bundle: `prediction_id`, `pred_*`, and `target_*` where known; the same units in any order.
        by: How.
        weights: Of the bundles.
        references: Their out-of-fold units, for ranks.
    """
    first = units[0]
    others = [table.set_index("prediction_id").loc[first["prediction_id"]] for table in units]
    columns = {}
    for name in (str(name) for name in first if str(name).startswith("pred_")):
        values = [table[name].to_numpy(np.float64) for table in others]
        if by == "rank":
            known = [table[name].to_numpy(np.float64) for table in references]
            values = [to_ranks(part, reference) for part, reference in zip(values, known, strict=True)]
        columns[name] = combine(np.stack(values, axis=1), weights)
    return first.assign(**columns)


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
    write_json(done, {"key": key})
    return report


def _units(
    ensemble: Ensemble, number: int, data: Path, folder: Path, report: Mapping[str, Any]
) -> tuple[pd.DataFrame, pd.Series]:
    """The units of a bundle's predictions, and which of them it had to fill in."""
    rule, competition = ensemble.bundles[number].rule, ensemble.competition
    predictions = _read_predictions(folder)
    units = competition.aggregate(with_column(predictions, rule, competition.test_table(data)), rule)
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
        competition.check_submission(part, competition.sample_submission(data))


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
