"""Predictions as soft targets of images whose truth nobody knows (Lee, 2013)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from rsna.errors import InputError
from rsna.tables import Column, read_csv, read_parquet

logger = logging.getLogger(__name__)


def read_pseudo_labels(path: Path, targets: list[str], fold: int) -> pd.DataFrame:
    """The mean prediction of each image, as targets, indexed by `image_id`.

    Where the table says which model made a prediction (`model_fold`), only those of the model that was validated on
    `fold` count: the others have learnt from its patients, and would pass it on.

    Args:
        path: A prediction table (.parquet of `rsna predict`, or .csv) with `image_id` and `pred_*`, probabilities.
        targets: The target columns, `target_*`.
        fold: Of the validation.

    Raises:
        InputError: For a missing column, a value that is no probability, and where every model has seen the fold.
    """
    names = {f"pred_{target.removeprefix('target_')}": target for target in targets}
    table = _read(path, list(names))
    if "model_fold" in table:
        table = _unseeing(table, fold, path)
    else:
        logger.warning("%s does not say which models made it (model_fold): they may have seen fold %d", path, fold)
    if "tta" in table and (table["tta"] == -1).any():
        table = table[table["tta"] == -1]  # the means of the others
    values = table[list(names)].astype(np.float64)
    bad = ~values.apply(lambda column: column.between(0, 1)).all(axis=1)
    if bad.any():
        row = table[bad].iloc[0]
        raise InputError(
            f"{path}: image {row['image_id']!r} has {', '.join(f'{name}={row[name]}' for name in names)}; pseudo-labels"
            " are probabilities in [0, 1]"
        )
    return values.groupby(table["image_id"]).mean().rename(columns=names).astype(np.float32)


def apply_pseudo_labels(
    rows: pd.DataFrame, labels: pd.DataFrame, targets: list[str], which: Literal["unknown", "all"], where: str
) -> pd.DataFrame:
    """Give images their pseudo-labels.

    Args:
        rows: The training-only images.
        labels: See `read_pseudo_labels`. Ids may lack the prefix of the source where that leaves no doubt.
        targets: The target columns.
        which: Images without a target, or all.
        where: How errors name the labels.

    Raises:
        InputError: Where no image has a label.
    """
    ids = rows["image_id"]
    if not ids.isin(labels.index).any():
        ids = ids.str.partition(":")[2]
        if ids.duplicated().any():
            raise InputError(
                f"{where}: its ids lack the prefixes of their sources, such as {rows['image_id'].iloc[0]!r}"
            )
    found = labels.reindex(ids).set_axis(rows.index)
    if found.isna().all(axis=None):
        raise InputError(
            f"{where} labels none of the {len(rows)} external images; it has {labels.index[0]!r}, they are like"
            f" {rows['image_id'].iloc[0]!r}"
        )
    merged = {
        target: found[target].fillna(rows[target]) if which == "all" else rows[target].fillna(found[target])
        for target in targets
    }
    return rows.assign(**merged).astype(dict.fromkeys(targets, np.float32))


def _read(path: Path, names: list[str]) -> pd.DataFrame:
    if path.suffix.lower() != ".parquet":
        optional = (Column("model_fold", "int", required=False), Column("tta", "int", required=False))
        return read_csv(
            path, (Column("image_id", "id"), *optional, *(Column(name, "float") for name in names)), extra=True
        )
    table = read_parquet(path)
    missing = [name for name in ("image_id", *names) if name not in table]
    if missing:
        raise InputError(f"{path} is no prediction table: it lacks {', '.join(missing)}")
    if table.attrs.get("scale", "probability") != "probability":
        raise InputError(f"{path} holds predictions on the scale {table.attrs['scale']!r}; probabilities are needed")
    return table


def _unseeing(table: pd.DataFrame, fold: int, path: Path) -> pd.DataFrame:
    """The predictions of the models that were validated on a fold."""
    rows = table[table["model_fold"] == fold]
    if rows.empty:
        folds = ", ".join(str(int(found)) for found in sorted(table["model_fold"].unique()))
        raise InputError(
            f"{path} was predicted by the models of the fold(s) {folds}, which have learnt from the patients of fold"
            f" {fold}; predict with a bundle that has the model of fold {fold}"
        )
    return rows
