"""The image table: what everything above reads of a competition, one row per image.

| column | meaning |
| --- | --- |
| `image_id` | text, unique |
| `group_id` | text; what folds must not split: the patient |
| `prediction_id` | text; the scored unit: the breast, the slice, the picture |
| `path` | of the image file, relative to the data folder, with `/` |
| `target_*`, `aux_*` | float32, NaN where unknown, soft values allowed |
| `fold` | whole number, where folds have been joined |

and then the competition's own columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rsna.errors import InputError

PRIOR_STRENGTH = 100  # images


def check_images(ids: pd.Series, source: str | Path) -> None:
    """Check that no image occurs twice in a table that was read from `source`.

    Raises:
        InputError: Naming the file and the row (counted from 2: row 1 is the header).
    """
    repeated = np.flatnonzero(ids.duplicated())
    if len(repeated):
        row = int(repeated[0])
        raise InputError(f"{source}, row {row + 2}, column {ids.name}: the image {ids.iloc[row]!r} is there twice")


def check_units(table: pd.DataFrame, targets: Sequence[str], source: str | Path) -> None:
    """Check that every scored unit of an image table belongs to one group and has one value of each target.

    Raises:
        InputError: Naming the file, the first such unit and what it has.
    """
    units = table.groupby("prediction_id", sort=False)
    for column in ("group_id", *targets):
        spread = units[column].nunique()
        if (spread > 1).any():
            unit = spread.idxmax()
            found = ", ".join(map(str, table.loc[table["prediction_id"] == unit, column].unique()))
            raise InputError(f"{source}: the images of {unit!r} disagree on {column}: {found}; it is one scored unit")


def smoothed_rates(values: pd.Series, keys: Mapping[str, pd.Series]) -> dict[str, Any]:
    """The mean of a target, overall and by each key, JSON-able.

    A mean is drawn to the overall one as `PRIOR_STRENGTH` images would draw it, so that a view seen ten times does not
    get the rate 0.

    Args:
        values: A target of every image; NaN does not count.
        keys: A label (str) of every image, by the name of the key.

    Returns:
        `{"overall": mean, key: {label: mean}}`.
    """
    values = values.astype(np.float64)
    overall = float(values.mean())
    rates: dict[str, Any] = {"overall": overall}
    for name, labels in keys.items():
        parts = values.groupby(labels.to_numpy()).agg(["sum", "count"])
        smooth = (parts["sum"] + PRIOR_STRENGTH * overall) / (parts["count"] + PRIOR_STRENGTH)
        rates[name] = {str(label): float(rate) for label, rate in smooth.items()}
    return rates
