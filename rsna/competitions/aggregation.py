"""From predictions of images to predictions of scored units (a breast, a slice, a picture)."""

from __future__ import annotations

import pandas as pd

from rsna.errors import InputError

AGGREGATIONS = ("mean", "max", "min", "median")


def per_image(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per image of a prediction table: the mean over its members, folds and augmentations.

    Returns:
        `image_id`, `prediction_id`, `target_*` where present, `pred_*` (float64), in the order of first appearance. A
        prediction that is NaN does not count; where all are, the image's is NaN.
    """
    return _reduce(predictions, ["image_id", "prediction_id"], "mean")


def per_unit(predictions: pd.DataFrame, how: str) -> pd.DataFrame:
    """One row per scored unit of a prediction table: `how` over its images, each averaged by `per_image` first.

    Returns:
        `prediction_id`, `target_*` where present, `pred_*` (float64), in the order of first appearance. An image whose
        prediction is NaN does not count; where all are, the unit's is NaN.

    Raises:
        InputError: For an unknown `how`.
    """
    if how not in AGGREGATIONS:
        raise InputError(f"there is no aggregation {how!r}; choose one of {', '.join(AGGREGATIONS)}")
    return _reduce(per_image(predictions), ["prediction_id"], how)


def _reduce(rows: pd.DataFrame, keys: list[str], how: str) -> pd.DataFrame:
    """Group by the keys: `how` over the predictions, and the first known value of the targets, which all rows share."""
    columns = [str(c) for c in rows.columns if str(c).startswith(("target_", "pred_"))]
    numbers = rows[keys].join(rows[columns].astype("float64"))
    rules = {column: how if column.startswith("pred_") else "first" for column in columns}
    return numbers.groupby(keys, sort=False, as_index=False).agg(rules)
