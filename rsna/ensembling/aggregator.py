"""Fit the aggregation from images to units, and compare it with the fixed ones where it was not fitted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from rsna.competitions import Competition
from rsna.competitions.aggregation import (
    AGGREGATIONS,
    LearnedAggregation,
    per_image,
    per_unit,
    unit_statistics,
    unit_values,
)
from rsna.ensembling.scoring import nested
from rsna.errors import InputError

logger = logging.getLogger(__name__)

LEAST = 20  # positive and negative units that a value of the column must have for coefficients of its own
LEARNED = "learned"


def fit_aggregation(oof: pd.DataFrame, targets: Sequence[str], by: str = "") -> LearnedAggregation:
    """A logistic regression per target, and one more per value of a column that has units enough.

    Args:
        oof: Out-of-fold predictions with targets, and the column.
        targets: The binary targets' names.
        by: A column such as `site_id`; empty for none.

    Raises:
        InputError: Where the units of a target are all of one class, or the column is missing.
    """
    models = {"": {target: _fit(oof, target) for target in targets}}
    if by:
        values = unit_values(oof, by)
        for value in sorted(set(values) - {""}):
            part = oof[oof["prediction_id"].isin(values.index[values == value])]
            if all(_enough(part, target) for target in targets):
                models[value] = {target: _fit(part, target) for target in targets}
            else:
                logger.info("%s %s has too few units of a class and gets the common coefficients", by, value)
    return LearnedAggregation(models, by)


def compare_aggregations(competition: Competition, oof: pd.DataFrame, by: str = "") -> pd.DataFrame:
    """The metrics per unit under every aggregation, by its name; the learned one as `learned`, nested by fold.

    Args:
        competition: Whose metrics and targets.
        oof: Out-of-fold predictions with targets and `row_fold`.
        by: As of `fit_aggregation`.
    """
    targets = [target.name for target in competition.targets]
    rows = {how: competition.unit_metrics(competition.aggregate(oof, how)) for how in AGGREGATIONS}
    if oof["row_fold"].nunique() > 1:
        units = nested(oof, lambda train: partial(per_unit, how=fit_aggregation(train, targets, by)))
        rows[LEARNED] = competition.unit_metrics(units)
    return pd.DataFrame(rows).T


def _fit(oof: pd.DataFrame, target: str) -> tuple[float, ...]:
    from sklearn.linear_model import LogisticRegression

    features, truth = _units(oof, target)
    if len(np.unique(truth)) < 2:
        raise InputError(f"the units of {target} are all of one class, so no aggregation can be learned from them")
    model = LogisticRegression(max_iter=1000).fit(features, truth)  # with its L2 penalty: the statistics are alike
    return (float(model.intercept_[0]), *(float(value) for value in model.coef_[0]))


def _units(oof: pd.DataFrame, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Statistics (N, S) and classes (N,) of the units whose class is known."""
    images = per_image(oof)
    statistics = unit_statistics(images, target)
    truth = images.groupby("prediction_id", sort=False)[f"target_{target}"].first().reindex(statistics.index)
    known = truth.notna().to_numpy()
    return statistics.to_numpy(np.float64)[known], truth.to_numpy()[known] > 0.5


def _enough(oof: pd.DataFrame, target: str) -> bool:
    _, truth = _units(oof, target)
    return bool(min(truth.sum(), (~truth).sum()) >= LEAST)
