"""One number for a table of scored units: the competition's monitor, the higher the better."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

from rsna.competitions import Competition
from rsna.errors import InputError

Fit = Callable[[pd.DataFrame], Callable[[pd.DataFrame], pd.DataFrame]]


def unit_score(competition: Competition, units: pd.DataFrame) -> float:
    """The monitored metric per unit, the higher the better; where it is undefined, nothing is worse."""
    if not competition.monitor.startswith("unit/"):
        raise InputError(f"{competition.name} is monitored by {competition.monitor}, which is not one of scored units")
    value = competition.unit_metrics(units)[competition.monitor]
    if math.isnan(value):
        return -math.inf
    return value if competition.monitor_mode == "max" else -value


def nested(rows: pd.DataFrame, fit: Fit) -> pd.DataFrame:
    """Each validation fold through what was fitted on the others.

    Args:
        rows: With `row_fold`, in which no patient is in two folds.
        fit: Of some rows; returns what is applied to others.

    Returns:
        The units of all folds.

    Raises:
        InputError: With a single fold.
    """
    folds = sorted(rows["row_fold"].unique())
    if len(folds) < 2:
        raise InputError("there are predictions of one fold only, so nothing can be fitted that it is not tried on")
    parts = [fit(rows[rows["row_fold"] != fold])(rows[rows["row_fold"] == fold]) for fold in folds]
    return pd.concat(parts, ignore_index=True)
