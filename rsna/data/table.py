"""The image table: one row per image, checked once where it is made and once where it is read."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from rsna.competitions.splits import check_folds
from rsna.errors import InputError

ID_COLUMNS = ("image_id", "group_id", "prediction_id", "path")


def check_image_table(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Check the columns that every image table has, and return the table.

    Args:
        table: Text columns `image_id` (unique), `group_id`, `prediction_id` and `path`; float32 columns `target_*` and
            `aux_*` (NaN where unknown); optionally whole numbers `fold`; then whatever the competition adds.
        where: How errors name the table, for instance its file.

    Raises:
        InputError: Naming the first column or image that is wrong.
    """
    missing = [name for name in ID_COLUMNS if name not in table]
    if missing:
        raise InputError(f"{where} is no image table: it lacks the column(s) {', '.join(missing)}")
    for name in ID_COLUMNS:
        if not table[name].map(lambda value: isinstance(value, str) and value != "").all():
            raise InputError(f"{where}: the column {name} holds an empty value or one that is not text")
    repeated = table.loc[table["image_id"].duplicated(), "image_id"]
    if len(repeated):
        raise InputError(f"{where} holds the image {repeated.iloc[0]!r} twice ({len(repeated)} repeated rows)")
    for name in map(str, table.columns):
        if name.startswith(("target_", "aux_")) and table[name].dtype != np.float32:
            raise InputError(f"{where}: the column {name} is {table[name].dtype}, not float32")
    if "fold" in table and not pd.api.types.is_integer_dtype(table["fold"]):
        raise InputError(f"{where}: the column fold is {table['fold'].dtype}, not whole numbers")
    return table


def join_folds(table: pd.DataFrame, folds: pd.DataFrame) -> pd.DataFrame:
    """The image table with the column `fold` (int64) of a split: `image_id`, `fold`.

    Raises:
        InputError: For an image without a fold or with two, and for a group in two folds.
    """
    return table.assign(fold=check_folds(table, folds))


def inside(folder: str | Path, path: str) -> Path:
    """A table's relative POSIX path as a path in `folder`, never outside it. Folders may themselves be links.

    Raises:
        InputError: For an empty or absolute path, and for one that climbs with `..`.
    """
    pure = PurePosixPath(path)
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or any(ord(letter) < 32 for letter in path):
        raise InputError(f"the path {path!r} does not stay inside {folder}; correct the table")
    return Path(folder, pure)
