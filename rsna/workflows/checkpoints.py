"""The epochs of trained folds as candidates: their predictions, their weights, and the choice between them."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from rsna.competitions import Competition, create_competition
from rsna.data import PreparedSet
from rsna.ensembling.selection import Selection, Units, evaluate_selection, select_epochs
from rsna.errors import InputError
from rsna.models import create_model, load_weights
from rsna.tables import Column, read_csv, read_parquet
from rsna.training.report import Report
from rsna.training.split import Split
from rsna.workflows.runs import FinishedRun

logger = logging.getLogger(__name__)

HINT = "train with trainer.keep.top=5, or trainer.keep.every=1"


def kept_weights(run: FinishedRun) -> dict[int, Path]:
    """The weights of a run by their epoch."""
    folder = run.folder
    found = {int(path.stem): path for path in folder.tables.glob("*.safetensors")}
    if folder.last_weights.is_file():
        found[int(read_csv(folder.history, [Column("epoch", "int")], extra=True)["epoch"].max())] = folder.last_weights
    return found | {run.epoch: folder.weights}


def read_units(run: FinishedRun) -> dict[int, pd.DataFrame]:
    """The scored units of every epoch of a run whose predictions were kept."""
    tables = sorted(run.folder.tables.glob("*_units.parquet"))
    return {int(path.name.split("_")[0]): read_parquet(path) for path in tables}


def candidates(runs: Sequence[FinishedRun]) -> Units:
    """The units of every epoch, by fold and epoch, whose weights were kept too.

    Raises:
        InputError: For a run that kept no predictions of its epochs, or one epoch only.
    """
    units = {}
    for run in runs:
        weights = kept_weights(run)
        units[run.fold] = {epoch: table for epoch, table in read_units(run).items() if epoch in weights}
        if len(units[run.fold]) < 2:
            raise InputError(f"{run.folder.path} kept fewer than two epochs to choose from; {HINT}")
    return units


def compare_selections(runs: Sequence[FinishedRun], table: pd.DataFrame) -> list[Selection]:
    """Every rule's choice among the epochs of some runs, and what it is worth; see `evaluate_selection`.

    Args:
        runs: Of different folds.
        table: The image table, for the patient of each unit.
    """
    competition = create_competition(runs[0].config.competition.name)
    first = table.drop_duplicates("prediction_id")
    groups = dict(zip(first["prediction_id"], first["group_id"], strict=True))
    units = candidates(runs)
    rules = ["best", "joint", "last"]
    if set.intersection(*(set(epochs) for epochs in units.values())):
        rules.insert(1, "same")
    return evaluate_selection(competition, units, groups, rules)


def choose(runs: Sequence[FinishedRun], rule: str, pictures: PreparedSet) -> list[FinishedRun]:
    """The runs as if another epoch had been theirs, with its weights and the predictions that they make.

    Args:
        runs: Of different folds.
        rule: Out of `rsna.ensembling.selection.RULES`.
        pictures: The prepared set.
    """
    competition = create_competition(runs[0].config.competition.name)
    epochs = select_epochs(competition, candidates(runs), rule)
    return [_with_epoch(run, epochs[run.fold], competition, pictures) for run in runs]


def _with_epoch(run: FinishedRun, epoch: int, competition: Competition, pictures: PreparedSet) -> FinishedRun:
    if epoch == run.epoch:
        return run
    model = create_model(run.config.model, run.config.data.input, len(competition.targets), pretrained=False)
    load_weights(model, kept_weights(run)[epoch])
    rows = run.oof[["image_id"]].merge(pictures.table, on="image_id", how="left", validate="1:1")
    logger.info("fold %d takes epoch %d instead of %d: its predictions are made anew", run.fold, epoch, run.epoch)
    oof = Report(run.config, Split(competition, pictures, run.fold, rows.iloc[:0], rows)).out_of_fold(model, epoch)
    score = competition.evaluate(oof, run.config.competition.aggregation)[competition.monitor]
    known = None if math.isnan(score) else score
    return replace(run, epoch=epoch, score=known, oof=oof, selected=kept_weights(run)[epoch])


def describe(selections: Sequence[Selection]) -> pd.DataFrame:
    """A table of selections for people: one row per rule."""
    rows = [
        {
            "rule": s.rule,
            "epochs": ", ".join(f"{fold}: {epoch}" for fold, epoch in s.epochs.items()),
            "score": s.score,
            "nested": s.nested,
            "noise": s.noise,
            "optimism": s.optimism,
            "agreement": s.agreement,
        }
        for s in selections
    ]
    return pd.DataFrame(rows)
