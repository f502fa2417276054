"""What stands in for an image that could not be predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rsna.competitions import Competition

SOURCES = ("", "unit", "group", "prior")
LEAST_RATE = 1e-6


def fill_missing(table: pd.DataFrame, probabilities: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Replace the rows of images without any number by the best that is known of them.

    That is the mean of the scored unit's other images, else that of its group's (patient's), else the prior; per
    member and target, and only of members that have predicted one of those images.

    Args:
        table: The image table of N rows.
        probabilities: (N, M, T), NaN where a member did not predict an image.
        prior: (N, T).

    Returns:
        Probabilities like those given, and for each image where they come from, (N,): an index into `SOURCES`.
    """
    count, members, outputs = probabilities.shape
    given = pd.DataFrame(probabilities.reshape(count, members * outputs))
    values, missing = given.to_numpy(np.float32, copy=True), given.isna().all(axis=1).to_numpy()
    source = np.zeros(count, np.int8)
    for place, column in enumerate(("prediction_id", "group_id"), start=1):
        means = given.groupby(table[column].to_numpy()).transform("mean").to_numpy(np.float32)
        usable = missing & ~np.isnan(means).all(axis=1)
        values[usable], source[usable] = means[usable], place
        missing = missing & ~usable
    filled = values.reshape(probabilities.shape)
    filled[missing], source[missing] = prior[missing, None, :], SOURCES.index("prior")
    return filled, source


def prior_table(competition: Competition, priors: Mapping[str, Mapping[str, Any]], table: pd.DataFrame) -> np.ndarray:
    """What to expect of images that nobody has seen, (N, T) float32.

    A bundle has rates by view, by age and by site. They are taken as independent: each moves the overall rate by its
    own odds ratio. A label without a rate moves nothing. Values that are no probabilities are moved by differences.
    """
    keys = competition.prior_keys(table)
    columns = []
    for target in competition.targets:
        rates, binary = priors[target.name], target.kind == "binary"
        overall = _scale(np.array([rates["overall"]]), binary)
        total = np.repeat(overall, len(table))
        for name, labels in keys.items():
            known = rates.get(name, {})
            own = labels.map(known).to_numpy(np.float64, na_value=np.nan)
            total += np.nan_to_num(_scale(own, binary) - overall)
        columns.append(1 / (1 + np.exp(-total)) if binary else total)
    return np.stack(columns, axis=1).astype(np.float32)


def _scale(rates: np.ndarray, binary: bool) -> np.ndarray:
    """On the scale on which effects add up: log odds, or the value itself."""
    if not binary:
        return rates
    inside = np.clip(rates, LEAST_RATE, 1 - LEAST_RATE)
    return np.log(inside / (1 - inside))
