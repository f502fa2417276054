"""From predictions of images to predictions of scored units (a breast, a slice, a picture)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rsna.errors import InputError

Floats = NDArray[np.float64]

AGGREGATIONS = ("mean", "max", "min", "median", "noisy_or")
STATISTICS = ("highest", "second", "mean", "lowest", "log count")  # of the logits of a unit's images
EPSILON = 1e-6  # probabilities are kept so far from 0 and 1 before they become logits


@dataclass(frozen=True)
class LearnedAggregation:
    """A logistic regression on the ordered logits of a unit's images (`STATISTICS`); fitted by `rsna.ensembling`.

    Attributes:
        models: By value of the column `by`, then by target: the intercept and one coefficient per statistic. The value
            `""` serves what was not there when it was fitted, and everything where `by` is empty.
        by: A column of the image table such as `site_id`, whose values have their own coefficients; empty for none.
    """

    models: dict[str, dict[str, tuple[float, ...]]]
    by: str = ""

    def __post_init__(self) -> None:
        if "" not in self.models:
            raise ValueError("a learned aggregation needs the model '' for values that it has not seen")
        if any(len(c) != 1 + len(STATISTICS) for targets in self.models.values() for c in targets.values()):
            raise ValueError(f"a learned aggregation has an intercept and {len(STATISTICS)} coefficients per target")

    def coefficients(self, value: str, target: str) -> Floats:
        """(1 + statistics,) of a target where the column `by` has a value."""
        models = self.models.get(value, self.models[""])
        if target not in models:
            raise InputError(
                f"the learned aggregation knows {', '.join(models)}, not {target}; collect the bundle again"
            )
        return np.asarray(models[target], np.float64)


Rule = str | LearnedAggregation


def per_image(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per image of a prediction table: the mean over its members, folds and augmentations.

    Returns:
        `image_id`, `prediction_id`, `target_*` where present, `pred_*` (float64), in the order of first appearance. A
        prediction that is NaN does not count; where all are, the image's is NaN.
    """
    return _reduce(predictions, ["image_id", "prediction_id"], "mean")


def per_unit(predictions: pd.DataFrame, how: Rule) -> pd.DataFrame:
    """One row per scored unit of a prediction table: `how` over its images, each averaged by `per_image` first.

    Args:
        predictions: A prediction table. A learned aggregation by a column needs that column too (see `with_column`).
        how: A name out of `AGGREGATIONS`, or a learned one. `noisy_or` is the chance that at least one image is
            positive, were they independent: 1 - prod(1 - p).

    Returns:
        `prediction_id`, `target_*` where present, `pred_*` (float64), in the order of first appearance. An image whose
        prediction is NaN does not count; where all are, the unit's is NaN.

    Raises:
        InputError: For an unknown `how`, and a learned one whose column is missing.
    """
    images = per_image(predictions)
    if isinstance(how, LearnedAggregation):
        return _apply(how, predictions, images)
    if how not in AGGREGATIONS:
        raise InputError(f"there is no aggregation {how!r}; choose one of {', '.join(AGGREGATIONS)}")
    if how != "noisy_or":
        return _reduce(images, ["prediction_id"], how)
    columns = _predicted(images)
    images[columns] = np.log1p(-images[columns].clip(0, 1 - EPSILON))
    units = _reduce(images, ["prediction_id"], "mean").set_index("prediction_id")
    units[columns] = -np.expm1(images.groupby("prediction_id", sort=False)[columns].sum(min_count=1))
    return units.reset_index()


def with_column(predictions: pd.DataFrame, how: Rule, table: pd.DataFrame) -> pd.DataFrame:
    """A prediction table with the column that a learned aggregation goes by, out of the image table."""
    by = how.by if isinstance(how, LearnedAggregation) else ""
    if not by or by in predictions:
        return predictions
    if by not in table:
        raise InputError(
            f"the aggregation goes by {by}, which the image table does not have; it has {', '.join(map(str, table))}"
        )
    return predictions.assign(**{by: predictions["image_id"].map(table.set_index("image_id")[by])})


def unit_statistics(images: pd.DataFrame, target: str) -> pd.DataFrame:
    """The `STATISTICS` of each unit's images, indexed by `prediction_id`; units without a prediction are left out.

    Args:
        images: By `per_image`.
        target: Its name.
    """
    known = images[images[f"pred_{target}"].notna()]
    probability = known[f"pred_{target}"].clip(EPSILON, 1 - EPSILON)
    logits = pd.DataFrame({"unit": known["prediction_id"], "logit": np.log(probability / (1 - probability))})
    units = logits.sort_values("logit", ascending=False, kind="stable").groupby("unit")["logit"]
    highest = units.max()
    second = logits.loc[units.cumcount().eq(1).reindex(logits.index)].set_index("unit")["logit"]
    columns = (highest, second.reindex(highest.index).fillna(highest), units.mean(), units.min(), np.log(units.size()))
    return pd.DataFrame(dict(zip(STATISTICS, columns, strict=True)))


def unit_values(predictions: pd.DataFrame, column: str) -> pd.Series:
    """The value of a column, as text, of each unit's first image, by `prediction_id`; empty where it is unknown.

    Raises:
        InputError: Where the table lacks the column.
    """
    if column not in predictions:
        raise InputError(f"the aggregation goes by {column}, which the predictions lack; collect the bundle again")
    values = predictions.groupby("prediction_id", sort=False)[column].first()
    return values.astype(object).where(values.notna(), "").map(str)


def _apply(how: LearnedAggregation, predictions: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    units = _reduce(images, ["prediction_id"], "mean")
    values = unit_values(predictions, how.by).loc[units["prediction_id"]] if how.by else pd.Series("", units.index)
    for column in _predicted(units):
        target = column.removeprefix("pred_")
        features = unit_statistics(images, target).reindex(units["prediction_id"]).to_numpy(np.float64)
        weights = np.stack([how.coefficients(value, target) for value in values])
        units[column] = 1 / (1 + np.exp(-(weights[:, 0] + (features * weights[:, 1:]).sum(axis=1))))
    return units


def _predicted(rows: pd.DataFrame) -> list[str]:
    return [str(name) for name in rows if str(name).startswith("pred_")]


def _reduce(rows: pd.DataFrame, keys: list[str], how: str) -> pd.DataFrame:
    """Group by the keys: `how` over the predictions, and the first known value of the targets, which all rows share."""
    columns = [str(c) for c in rows.columns if str(c).startswith(("target_", "pred_"))]
    numbers = rows[keys].join(rows[columns].astype("float64"))
    rules = {column: how if column.startswith("pred_") else "first" for column in columns}
    return numbers.groupby(keys, sort=False, as_index=False).agg(rules)
