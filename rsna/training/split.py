"""The two sides of a fold: split first, checked, and only then limited or resampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from rsna.competitions import Competition, create_competition
from rsna.competitions.splits import check_positives, check_sides, check_split
from rsna.config import differences, dump
from rsna.config.training import TrainConfig
from rsna.data import PreparedSet
from rsna.errors import InputError
from rsna.training.external import EXTERNAL_FOLD, external_rows, rebase, shared_root


@dataclass(frozen=True)
class Split:
    """What one fold trains and validates on.

    Attributes:
        competition: Whose images they are.
        prepared: Where the pictures are.
        fold: The validation fold.
        train: The image table of the training side, every image once; external images have the fold -1.
        validation: The image table of the validation side.
    """

    competition: Competition
    prepared: PreparedSet
    fold: int
    train: pd.DataFrame
    validation: pd.DataFrame

    @property
    def targets(self) -> list[str]:
        """The target columns, in the order of the model's outputs."""
        return [target.column for target in self.competition.targets]

    def positive(self, table: pd.DataFrame) -> np.ndarray:
        """Which rows (N,) of an image table are positive in any target."""
        return (table[self.targets] > 0.5).any(axis=1).to_numpy()


def open_prepared(config: TrainConfig) -> PreparedSet:
    """The prepared set of a config, with folds, made the way the config says.

    Raises:
        InputError: Where it is an external set, has no folds, is of another competition, or was made with other
            settings: a model trained on it would meet other pictures in the submission.
    """
    prepared = PreparedSet.open(config.env.prepared, config.env.folds or None)
    if prepared.spec.origin:
        raise InputError(
            f"{prepared.folder} is an external set ({prepared.spec.origin}), which is never validated on; give it as"
            " external.sets, and the competition's own set as env.prepared"
        )
    if "fold" not in prepared.table:
        raise InputError(
            f"{prepared.folder} has no folds; make them with `rsna folds`, or name a table with env.folds="
        )
    if prepared.spec.competition != config.competition.name:
        raise InputError(f"{prepared.folder} is of {prepared.spec.competition}, not of {config.competition.name}")
    other = differences(dump(prepared.spec.imaging), dump(config.data.imaging), "data.imaging")
    if other:
        raise InputError(
            f"{prepared.folder} was prepared with other settings ({'; '.join(other)}); choose the data= and roi= that"
            " it was made with, or prepare it again"
        )
    return prepared


def list_folds(config: TrainConfig) -> list[int]:
    """The folds of a config's prepared set."""
    return sorted(int(fold) for fold in open_prepared(config).table["fold"].unique())


def load_split(config: TrainConfig, fold: int) -> Split:
    """Split a config's images at one fold.

    Raises:
        InputError: Where the two sides share a patient or an image, the fold does not exist or cannot be scored, and
            where an external set does not fit.
    """
    competition, prepared = create_competition(config.competition.name), open_prepared(config)
    table, targets = prepared.table, [target.column for target in competition.targets]
    check_split(table, fold)
    held_out = table["fold"] == fold
    check_positives(table[held_out], targets)
    train, validation = table[~held_out], table[held_out]
    if config.external.sets:
        external = external_rows(config.external, prepared, targets, fold)
        prepared = rebase(prepared, shared_root(config.external, prepared))
        train, validation = _mixed(prepared, external, held_out, config.external.mode)
    if not (train[targets] > 0.5).any(axis=None):
        raise InputError(f"fold {fold} leaves no positive image to train on; make other folds or add patients")
    if config.limit:
        train, validation = (limit_rows(side, targets, config.limit, config.seed) for side in (train, validation))
    return Split(competition, prepared, fold, train.reset_index(drop=True), validation.reset_index(drop=True))


def _mixed(
    prepared: PreparedSet, external: pd.DataFrame, held_out: pd.Series, mode: Literal["mixed", "alone"]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sides of a split with external images in training; raises `InputError` where one is in validation."""
    own, validation = prepared.table[~held_out].assign(source=prepared.spec.competition), prepared.table[held_out]
    train = external if mode == "alone" else pd.concat([own, external], ignore_index=True)
    check_sides(train, validation)
    if (validation["fold"] == EXTERNAL_FOLD).any():
        raise InputError("an external image is in the validation side, which is the competition's alone")
    return train, validation


def limit_rows(table: pd.DataFrame, targets: list[str], count: int, seed: int) -> pd.DataFrame:
    """At most `count` random rows in their order, half of them positive as far as there are that many."""
    positive = (table[targets] > 0.5).any(axis=1).to_numpy()
    order = np.random.default_rng(seed).permutation(len(table))
    chosen = order[positive[order]][: count // 2]
    rest = order[~positive[order]][: count - len(chosen)]
    return table.iloc[np.sort(np.concatenate([chosen, rest]))]
