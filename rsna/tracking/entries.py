"""What the logbook says about a training run, a bundle and a submission."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from rsna.competitions import Competition, Threshold, create_competition
from rsna.competitions.aggregation import Rule
from rsna.config import load
from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.inference.schema import CONFIG_FILE, OOF_FILE, BundleSpec, read_spec
from rsna.io import read_yaml, sha256_file
from rsna.tables import read_parquet
from rsna.tracking.logbook import Entry
from rsna.tracking.mlflow_run import read_identity


def run_entry(run_dir: Path, log: Path) -> Entry:
    """The entry of a training run `runs/<name>`: its configuration and what its out-of-fold predictions are worth.

    Args:
        run_dir: The folder that holds `fold_<k>/`.
        log: The logbook, to which the link is relative.

    Raises:
        InputError: No fold of it is finished.
    """
    folds = sorted(path.parent for path in run_dir.glob(f"fold_*/{OOF_FILE}"))
    if not folds:
        raise InputError(f"{run_dir} holds no finished fold (fold_<k>/{OOF_FILE}); name a folder like runs/<name>")
    config = _read_config(folds[0])
    competition = create_competition(config.competition.name)
    oof = pd.concat([read_parquet(fold / OOF_FILE) for fold in folds], ignore_index=True)
    how = config.competition.aggregation
    tracked = [identity for fold in folds if (identity := read_identity(fold))]
    commits = dict.fromkeys(identity["commit"] for identity in tracked)
    lines = (
        f"- {_summary(config)}",
        *(f"- code {commit}" for commit in commits),
        f"- folder {_link(run_dir, log)}",
        *(f"- MLflow run `{identity['run_id']}` in {identity['experiment']}" for identity in tracked),
        *_score_table(competition, oof, how),
        *_fitted_threshold(competition, oof, how),
    )
    return Entry(_key("run", run_dir, log), f"run {run_dir.resolve().name}", lines)


def bundle_entry(bundle: Path, log: Path) -> Entry:
    """The entry of a model bundle `models/<name>`; arguments and errors as of `run_entry`."""
    return Entry(_key("bundle", bundle, log), f"bundle {bundle.resolve().name}", tuple(_bundle_lines(bundle, log)))


def submission_entry(submission: Path, scores: Mapping[str, float], bundle: Path | None, log: Path) -> Entry:
    """The entry of a submission file, known by its content.

    Args:
        submission: The file.
        scores: What the competition said, such as `public` and `private`.
        bundle: The bundle that predicted it, if it is known.
        log: The logbook.
    """
    if not submission.is_file():
        raise InputError(f"there is no submission file {submission}")
    digest = sha256_file(submission)[:12]
    score = ", ".join(f"{name} {value:g}" for name, value in scores.items())
    origin = _bundle_lines(bundle, log) if bundle else []
    lines = (f"- file {_link(submission, log)}, sha256 {digest}", *origin)
    return Entry(f"submission/{digest}", f"submission, {score}", lines)


def _bundle_lines(folder: Path, log: Path) -> list[str]:
    spec: BundleSpec = read_spec(folder)
    competition = create_competition(spec.competition)
    oof = read_parquet(folder / OOF_FILE)
    code = f"{spec.commit[:12]}{'-dirty' if spec.dirty else ''}"
    return [
        f"- {_summary(_read_config(folder))}",
        *([f"- code {code}"] if spec.commit else []),
        f"- bundle {_link(folder, log)}, digest {spec.digest[:12]}",
        *(f"- MLflow run `{run}`" for run in spec.mlflow_run_ids if run),
        *([f"- accepted skew: {spec.accepted_skew}"] if spec.accepted_skew else []),
        *_score_table(competition, oof, spec.rule),
        *_threshold_lines(spec.threshold),
    ]


def _summary(config: TrainConfig) -> str:
    """A configuration in one line, in the order in which people compare them."""
    size, trainer = config.data.input, config.trainer
    ema = f", EMA {trainer.ema.decay:g}" if trainer.ema.decay else ""
    return (
        f"{config.model.backbone}, {size.height}x{size.width} pixels; {config.loss.name};"
        f" {config.optimizer.name} at {config.optimizer.lr:g}, {config.scheduler.name}; {trainer.epochs} epochs"
        f" of batches of {trainer.batch_size * trainer.accumulation * trainer.devices}{ema};"
        f" augmentation {config.augmentation.name}, sampler {config.sampler.name}; seed {config.seed}"
    )


def _score_table(competition: Competition, oof: pd.DataFrame, how: Rule) -> list[str]:
    """A Markdown table of the metrics per scored unit: one row per fold, and one for all folds together."""
    rows = {str(fold): competition.evaluate(part, how) for fold, part in oof.groupby("row_fold")}
    rows["all"] = competition.evaluate(oof, how)
    names = [name for name in rows["all"] if name.startswith("unit/")]
    table = [["fold", *(name.removeprefix("unit/") for name in names)], ["---"] * (len(names) + 1)]
    table += [[fold, *(_number(values[name]) for name in names)] for fold, values in rows.items()]
    return ["", *(f"| {' | '.join(cells)} |" for cells in table), ""]


def _fitted_threshold(competition: Competition, oof: pd.DataFrame, how: str) -> list[str]:
    try:
        return _threshold_lines(competition.fit_threshold(oof, how))
    except InputError as error:  # without a positive there is none, which is worth a line
        return [f"No threshold: {error}."]


def _threshold_lines(threshold: Threshold) -> list[str]:
    good = f"{_number(threshold.low)} to {_number(threshold.high)}"
    return [f"Threshold {_number(threshold.value)} (as good: {good}), score {_number(threshold.score)}."]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _read_config(folder: Path) -> TrainConfig:
    path = folder / CONFIG_FILE
    return load(TrainConfig, read_yaml(path), str(path))


def _key(kind: str, folder: Path, log: Path) -> str:
    return f"{kind}/{quote(_relative(folder, log), safe='/')}"


def _link(path: Path, log: Path) -> str:
    relative = _relative(path, log)
    return f"[{relative}]({quote(relative)})"


def _relative(path: Path, log: Path) -> str:
    return Path(os.path.relpath(path.resolve(), log.resolve().parent)).as_posix()
