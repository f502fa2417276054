"""What a split must never do: put a patient or an image on two sides, or leave a side that cannot be scored.

Resampling comes after the split. That is checked here too: the table that is split holds every image once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rsna.errors import InputError


def check_folds(table: pd.DataFrame, folds: pd.DataFrame) -> pd.Series:
    """The fold of every row of an image table, from a given split that has been checked for leaks.

    Args:
        table: One row per image: `image_id`, `group_id`.
        folds: One row per image: `image_id`, `fold` (whole numbers from 0). Images that `table` lacks are ignored, so
            that one split serves every subset of a data set.

    Returns:
        The folds as int64, with the index of `table`.

    Raises:
        InputError: For an image without a fold or with two, a fold that is no whole number, a table that was resampled
            before its split, and a group in two folds.
    """
    _check_once(table["image_id"], "the table", "split first and resample the training side afterwards")
    _check_once(folds["image_id"], "the split", "give every image one fold")
    numbers = _fold_numbers(folds)
    fold = table["image_id"].map(numbers)
    if fold.isna().any():
        lost = table.loc[fold.isna(), "image_id"]
        raise InputError(f"{len(lost)} of {len(table)} images have no fold, the first is {lost.iloc[0]!r}; split anew")
    fold = fold.astype(np.int64).rename("fold")
    _check_groups(table["group_id"], fold)
    return fold


def check_split(table: pd.DataFrame, fold: int) -> None:
    """Check that validating on one fold of an image table (with `group_id`, `fold`) leaks nothing.

    Raises:
        InputError: As `check_sides`, and where a side is empty.
    """
    held_out = table["fold"] == fold
    if held_out.all() or not held_out.any():
        known = ", ".join(map(str, sorted(table["fold"].unique())))
        raise InputError(f"fold {fold} leaves nothing to train or to validate on; the split has the fold(s) {known}")
    check_sides(table[~held_out], table[held_out])


def check_sides(train: pd.DataFrame, validation: pd.DataFrame) -> None:
    """Check two sides of a split, the training side as resampled: `image_id`, `group_id`.

    Raises:
        InputError: For an image or a group on both sides, and for a validation side that holds an image twice.
    """
    _check_once(validation["image_id"], "the validation side", "resample only the training side")
    for column, what in (("image_id", "image"), ("group_id", "patient or group")):
        both = set(train[column]) & set(validation[column])
        if both:
            raise InputError(f"{what} {min(both)!r} is in training and in validation ({len(both)} in all); split anew")


def check_positives(table: pd.DataFrame, targets: Sequence[str]) -> None:
    """Check that every fold of an image table can be scored on binary targets.

    Args:
        table: With `fold` and the target columns.
        targets: Columns, for instance `target_cancer`.

    Raises:
        InputError: Naming the first fold without a positive or without a negative image.
    """
    for target in targets:
        positive = (table[target] > 0.5).groupby(table["fold"]).agg(["sum", "count"])
        for what, empty in (("positive", positive["sum"] == 0), ("negative", positive["sum"] == positive["count"])):
            if empty.any():
                raise InputError(
                    f"fold {empty.idxmax()} has no {what} image of {target}, so it cannot be scored; "
                    "make fewer folds, take another seed or add patients"
                )


def _check_once(images: pd.Series, where: str, remedy: str) -> None:
    repeated = images[images.duplicated()]
    if len(repeated):
        raise InputError(f"image {repeated.iloc[0]!r} is twice in {where} ({len(repeated)} repeated rows); {remedy}")


def _fold_numbers(folds: pd.DataFrame) -> pd.Series:
    """The folds by image id, as floats that are whole and not negative."""
    numbers = pd.to_numeric(folds["fold"], errors="coerce").astype(np.float64)
    bad = ~(numbers >= 0) | (numbers % 1 != 0)
    if bad.any():
        row = folds[bad].iloc[0]
        raise InputError(f"image {row['image_id']!r} has the fold {row['fold']}; a fold is a whole number from 0")
    return pd.Series(numbers.to_numpy(), index=folds["image_id"].to_numpy())


def _check_groups(groups: pd.Series, fold: pd.Series) -> None:
    spread = fold.groupby(groups).nunique()
    leaking = spread[spread > 1]
    if len(leaking):
        group = leaking.index[0]
        places = ", ".join(map(str, sorted(fold[groups == group].unique())))
        raise InputError(
            f"patient or group {group!r} is in the folds {places} ({len(leaking)} such in all); a patient must lie in "
            "one fold, or validation leaks. Split anew with `rsna folds`"
        )
