"""Weights of bundles, chosen on their out-of-fold predictions, and what each way to combine them is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.competitions import Competition
from rsna.ensembling.scoring import nested, unit_score
from rsna.errors import InputError
from rsna.inference.ensemble import By, combine, combine_units

STEPS = 20  # of the greedy choice: weights are multiples of 1/20 or coarser
WAYS: tuple[By, ...] = ("mean", "rank", "weights")


def check_same_folds(tables: Mapping[Path, pd.DataFrame]) -> None:
    """Refuse bundles whose out-of-fold predictions do not share one table of folds.

    A bundle of another split has seen, in training, patients whose predictions it would be weighted by.

    Raises:
        InputError: Names the two bundles and an image.
    """
    (first, start), *others = ((path, _folds(table)) for path, table in tables.items())
    for path, folds in others:
        missing = start.index.symmetric_difference(folds.index)
        if len(missing):
            raise InputError(
                f"{first} and {path} have out-of-fold predictions of different images ({len(missing)}, the first is"
                f" {missing[0]}); an ensemble needs bundles of one table of folds, with all folds"
            )
        differing = start.index[start.loc[start.index] != folds.loc[start.index]]
        if len(differing):
            raise InputError(
                f"image {differing[0]} is in fold {start[differing[0]]} of {first} and in fold {folds[differing[0]]} of"
                f" {path}; an ensemble needs bundles of one table of folds"
            )


def fit_weights(competition: Competition, units: Sequence[pd.DataFrame]) -> list[float]:
    """Choose weights greedily: add, again and again, the bundle that helps most, each as often as it likes.

    It starts from the best bundle and keeps the best of the mixtures that it passes. Source: Caruana et al., Ensemble
    selection from libraries of models, ICML 2004.

    Args:
        competition: Whose monitor.
        units: Per bundle: the same units in the same order.

    Returns:
        One weight per bundle; they sum to one.
    """
    names = [str(name) for name in units[0] if str(name).startswith("pred_")]
    values = {name: np.stack([table[name].to_numpy(np.float64) for table in units], axis=1) for name in names}

    def score(weights: np.ndarray) -> float:
        shares = (weights / weights.sum()).tolist()
        return unit_score(competition, units[0].assign(**{n: combine(v, shares) for n, v in values.items()}))

    count = np.zeros(len(units))
    best, chosen = -np.inf, count
    for _ in range(STEPS):
        trials = count + np.eye(len(units))
        scores = [score(weights) for weights in trials]
        winner = int(np.argmax(scores))
        count = trials[winner]
        if scores[winner] > best:
            best, chosen = scores[winner], count
    if not chosen.sum():  # the monitor is undefined
        chosen = np.ones(len(units))
    return [float(value) for value in chosen / chosen.sum()]


def compare_ways(
    competition: Competition, units: Mapping[str, pd.DataFrame], folds: pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every bundle and every way to combine them, per unit; weights are nested by fold.

    Args:
        competition: Whose metrics.
        units: The out-of-fold units of each bundle, by its name.
        folds: The fold of each unit, by `prediction_id`.

    Returns:
        The metrics, one row per bundle and way; and the weights that were chosen without each fold, one row per fold.
    """
    tables = align(units.values())
    rows = {name: competition.unit_metrics(table) for name, table in zip(units, tables, strict=True)}
    equal = [1 / len(tables)] * len(tables)
    for by in WAYS[:2]:
        rows[f"{by} of all"] = competition.unit_metrics(combine_units(tables, by, equal, tables))
    chosen: list[list[float]] = []

    def fit(train: pd.DataFrame) -> Callable[[pd.DataFrame], pd.DataFrame]:
        weights = fit_weights(competition, _at(tables, train))
        chosen.append(weights)
        return lambda other: combine_units(_at(tables, other), "weights", weights, tables)

    index = tables[0][["prediction_id"]].assign(row_fold=tables[0]["prediction_id"].map(folds).to_numpy())
    if index["row_fold"].nunique() > 1:
        rows["weights of all"] = competition.unit_metrics(nested(index, fit))
    return pd.DataFrame(rows).T, pd.DataFrame(chosen, columns=list(units))


def align(units: Iterable[pd.DataFrame]) -> list[pd.DataFrame]:
    """The tables with their units in the order of the first one."""
    tables = list(units)
    order = tables[0]["prediction_id"]
    return [table.set_index("prediction_id").loc[order].reset_index() for table in tables]


def _folds(table: pd.DataFrame) -> pd.Series:
    return table.groupby("image_id")["row_fold"].first().sort_index()


def _at(tables: Sequence[pd.DataFrame], index: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of some units, in the same order everywhere."""
    return [table[table["prediction_id"].isin(index["prediction_id"])] for table in tables]
