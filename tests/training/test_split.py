"""The two sides of a fold: what is refused, and that trials keep positives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.tables import write_csv
from rsna.training.loaders import FoldData
from rsna.training.split import list_folds, load_split

MakeConfig = Callable[..., TrainConfig]


def write_folds(prepared: Path, path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> str:
    """Write a changed copy of the tiny set's folds and return the override that uses it."""
    write_csv(path, change(pd.read_csv(prepared / "folds.csv", dtype={"image_id": str})))
    return f"env.folds={path}"


def test_no_patient_is_on_both_sides(make_config: MakeConfig) -> None:
    config = make_config("sampler=balanced", "sampler.oversample=3")
    assert list_folds(config) == [0, 1, 2]
    split = load_split(config, 1)
    assert len(split.train) == 24
    assert len(split.validation) == 12
    assert not set(split.train["group_id"]) & set(split.validation["group_id"])
    resampled = split.train.iloc[FoldData(config, split).plan.rows]
    assert len(resampled) > len(split.train)
    assert not set(resampled["image_id"]) & set(split.validation["image_id"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(fold=np.where(f["image_id"] == "3L", 0, f["fold"].replace({0: 1}))), "p3"),
        (lambda f: f[f["image_id"] != "3L"], "no fold"),
        (lambda f: pd.concat([f, f[f["image_id"] == "3L"]]), "'3L' is twice"),
        (lambda f: f.assign(fold=0), "nothing to train"),
    ],
)
def test_a_split_that_leaks_or_is_incomplete_is_refused(
    make_config: MakeConfig,
    prepared: Path,
    tmp_path: Path,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
) -> None:
    override = write_folds(prepared, tmp_path / "folds.csv", change)
    with pytest.raises(InputError, match=message):
        load_split(make_config(override), 0)


def test_a_fold_without_a_positive_is_refused(make_config: MakeConfig, prepared: Path, tmp_path: Path) -> None:
    def gather(folds: pd.DataFrame) -> pd.DataFrame:
        positive = folds["image_id"].str.fullmatch(r"(0|1|6|7|12|13)[LR]")
        return folds.assign(fold=np.where(positive, 1, folds["fold"].replace({1: 2})))

    config = make_config(write_folds(prepared, tmp_path / "folds.csv", gather))
    with pytest.raises(InputError, match="fold 0 has no positive image"):
        load_split(config, 0)
    with pytest.raises(InputError, match="no positive image to train on"):
        load_split(config, 1)


def test_a_fold_that_is_not_there_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(InputError, match=r"fold 7 .* 0, 1, 2"):
        load_split(make_config(), 7)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.imaging.width=24", r"data\.imaging\.width: 32 != 24"),
        ("roi=otsu", r"data\.imaging\.roi\.method"),
        ("env.prepared=no/such/folder", "no/such/folder"),
    ],
)
def test_pictures_that_the_config_would_not_make_are_refused(
    make_config: MakeConfig, override: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_split(make_config(override), 0)


@pytest.mark.parametrize("limit", [2, 5, 8, 100])
def test_a_limited_side_keeps_positives(make_config: MakeConfig, limit: int) -> None:
    split = load_split(make_config(f"limit={limit}"), 0)
    for side, available, positives in ((split.train, 24, 4), (split.validation, 12, 2)):
        assert len(side) == min(limit, available)
        assert split.positive(side).sum() == min(limit // 2, positives)
