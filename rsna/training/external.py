"""External sets on the training side of a split: checked, labelled, and brought under one folder with the rest."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.config import differences, dump
from rsna.config.external import ExternalSpec
from rsna.data import PreparedSet
from rsna.errors import InputError
from rsna.training.pseudo_labels import apply_pseudo_labels, read_pseudo_labels

EXTERNAL_FOLD = -1  # which no image of the competition has

logger = logging.getLogger(__name__)


def external_rows(spec: ExternalSpec, prepared: PreparedSet, targets: list[str], fold: int) -> pd.DataFrame:
    """The images of a config's external sets that have a target, with the columns of the competition's table.

    Args:
        spec: The sets, and what is done with them.
        prepared: The competition's prepared set; `path` becomes relative to the folder that it shares with the sets.
        targets: The target columns.
        fold: Of the validation, for pseudo-labels.

    Returns:
        Rows with the fold -1 and the column `source`.

    Raises:
        InputError: For a set that is not external or was prepared with other settings, an image that two sets have,
            and pseudo-labels that do not fit or would leak.
    """
    root = shared_root(spec, prepared)
    parts = [_open_rows(path, prepared, root) for path in spec.sets]
    rows = pd.concat(parts, ignore_index=True)
    twice = rows.loc[rows["image_id"].duplicated(), "image_id"]
    if len(twice):
        raise InputError(f"external.sets: image {twice.iloc[0]!r} is in two of the sets ({len(twice)} such images)")
    if spec.pseudo_labels:
        labels = read_pseudo_labels(Path(spec.pseudo_labels), targets, fold)
        rows = apply_pseudo_labels(rows, labels, targets, spec.relabel, spec.pseudo_labels)
    known = rows[targets].notna().any(axis=1)
    logger.info("external: %d images of %d sets, %d without a target", len(rows), len(parts), (~known).sum())
    if not known.any():
        raise InputError("no image of external.sets has a target; give them external.pseudo_labels")
    return rows[known].reset_index(drop=True)


def shared_root(spec: ExternalSpec, prepared: PreparedSet) -> Path:
    """The folder that holds the competition's prepared set and all external ones."""
    return Path(os.path.commonpath([os.path.abspath(path) for path in (str(prepared.folder), *spec.sets)]))


def rebase(prepared: PreparedSet, root: Path) -> PreparedSet:
    """The same prepared set seen from a folder above it."""
    return replace(prepared, folder=root, table=_rebase_paths(prepared.table, prepared.folder, root))


def _rebase_paths(table: pd.DataFrame, folder: Path, root: Path) -> pd.DataFrame:
    prefix = Path(os.path.relpath(os.path.abspath(folder), root)).as_posix()
    return table if prefix == "." else table.assign(path=prefix + "/" + table["path"])


def _open_rows(path: str, prepared: PreparedSet, root: Path) -> pd.DataFrame:
    opened = PreparedSet.open(path)
    spec, other = opened.spec, prepared.spec
    if not spec.origin:
        raise InputError(
            f"{path} holds {spec.competition}'s own images, which external.sets must not; external sets are made by"
            " `rsna data import`"
        )
    if spec.competition != other.competition:
        raise InputError(f"{path} has the columns of {spec.competition}, not of {other.competition}")
    unequal = differences(dump(spec.imaging), dump(other.imaging), "data.imaging")
    if unequal:
        raise InputError(
            f"{path} was prepared with other settings than {prepared.folder} ({'; '.join(unequal)}); import it again"
            " with the same data= and roi="
        )
    rows = like(_rebase_paths(opened.table, opened.folder, root), prepared.table)
    return rows.assign(fold=EXTERNAL_FOLD, source=spec.origin)


def like(table: pd.DataFrame, model: pd.DataFrame) -> pd.DataFrame:
    """A table with the columns of another, unknown (NaN, or empty text) where it lacks one."""
    columns = {}
    for name, values in model.items():
        if name in table:
            columns[name] = table[name].to_numpy()
        elif pd.api.types.is_numeric_dtype(values):
            columns[name] = np.full(len(table), np.nan, np.float32)
        else:
            columns[name] = np.full(len(table), "", object)
    return pd.DataFrame(columns)
