"""Folds: patients are dealt to folds, stratum by stratum, before anything is resampled.

A stratified group k-fold. Since a patient lies in one stratum, dealing patients is enough: sorted by stratum and number
of images, every run of k neighbours gives one patient to each of the k folds, in random order. So the patients of the
last strata, the positive ones, differ by at most one between folds, also where a stratum has fewer patients than there
are folds. There scikit-learn's StratifiedGroupKFold leaves folds without a positive; `docs/validation.md` has figures.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from rsna.competitions import Competition
from rsna.competitions.splits import check_folds, check_positives
from rsna.errors import InputError


def make_folds(competition: Competition, table: pd.DataFrame, folds: int, seed: int) -> pd.DataFrame:
    """Split an image table.

    Args:
        competition: Gives the strata and the targets.
        table: An image table with targets, every image once.
        folds: How many.
        seed: The same seed and table give the same folds.

    Returns:
        `image_id`, `fold` (int64 from 0), in the order of the table.

    Raises:
        InputError: For a table without targets, fewer than two folds or fewer patients than folds, a table that was
            resampled, and a fold without a positive or without a negative image of a binary target.
    """
    missing = [target.column for target in competition.targets if target.column not in table]
    if missing:
        raise InputError(f"the table has no {', '.join(missing)}; only training images are split")
    strata = competition.strata(table)
    if not 2 <= folds <= len(strata):
        raise InputError(f"cannot make {folds} folds of {len(strata)} patients or groups; choose from 2 up to as many")
    dealt = deal(strata, table.groupby("group_id").size(), folds, seed)
    split = pd.DataFrame({"image_id": table["image_id"], "fold": table["group_id"].map(dealt).astype(np.int64)})
    split["fold"] = check_folds(table, split)
    binary = [target.column for target in competition.targets if target.kind == "binary"]
    check_positives(table.assign(fold=split["fold"]), binary)
    return split


def deal(strata: pd.Series, sizes: pd.Series, folds: int, seed: int) -> pd.Series:
    """Deal groups to folds.

    Args:
        strata: The stratum (str) of each group, by group id; the last stratum is dealt first.
        sizes: The number of images of each group, by group id.
        folds: How many.
        seed: Breaks ties between groups, and orders each run of neighbours.

    Returns:
        The fold (int64) of each group, by group id. Over the groups of the last strata, however many strata that is,
        the folds differ by at most one group; over those of any other stratum by at most two.
    """
    random = np.random.default_rng(seed)
    groups = pd.DataFrame({"stratum": strata, "size": sizes}).sort_index()  # the order of the table's rows is no matter
    groups["tie"] = random.permutation(len(groups))
    groups = groups.sort_values(["stratum", "size", "tie"], ascending=False)
    runs = -(-len(groups) // folds)
    order = random.permuted(np.tile(np.arange(folds), (runs, 1)), axis=1).ravel()
    return pd.Series(order[: len(groups)], index=groups.index, dtype=np.int64)
