"""Folds: alike on the real table, fair on small ones, and never a leak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsna.cli import app as program
from rsna.competitions import create_competition
from rsna.competitions.splits import check_folds, check_split
from rsna.config import ImagingSpec
from rsna.data import PreparedSet, PreparedSpec
from rsna.errors import InputError
from rsna.preparation.folds import deal, make_folds
from rsna.tables import write_csv, write_parquet

BREAST = create_competition("breast")


@pytest.fixture(scope="session")
def real(shared_data: Path) -> pd.DataFrame:
    return BREAST.read_train(shared_data / "breast" / "train.csv.gz")


def small(patients: int, positive: int) -> pd.DataFrame:
    """Patients with one to six images of the left breast; the first ones have cancer."""
    rows = [(f"p{p}", f"i{p}.{i}", float(p < positive)) for p in range(patients) for i in range(1 + p % 6)]
    table = pd.DataFrame(rows, columns=["group_id", "image_id", "target_cancer"])
    table["prediction_id"], table["path"] = table["group_id"] + "_L", table["image_id"] + ".dcm"
    return table.astype({"target_cancer": np.float32}).assign(site_id="1", age=50.0, machine_id="49")


@pytest.mark.parametrize("seed", range(10))
def test_the_folds_of_the_real_table_are_alike(real: pd.DataFrame, seed: int) -> None:
    table = real.assign(fold=make_folds(BREAST, real, 4, seed)["fold"])
    report = BREAST.fold_report(table)
    assert report["cancer_units"].max() - report["cancer_units"].min() <= 6
    assert report["images"].max() <= 1.03 * report["images"].min()
    assert report["site_1_share"].max() - report["site_1_share"].min() < 0.01
    for fold in range(4):
        check_split(table, fold)


def test_a_seed_makes_the_same_folds_and_another_seed_others(real: pd.DataFrame) -> None:
    first = make_folds(BREAST, real, 4, seed=1)
    shuffled = make_folds(BREAST, real.sample(frac=1, random_state=0), 4, seed=1)
    pd.testing.assert_frame_equal(first, shuffled.sort_index())
    assert (make_folds(BREAST, real, 4, seed=2)["fold"] != first["fold"]).any()


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), min_size=2, max_size=60),
    st.integers(2, 7),
    st.integers(0, 2**32),
)
def test_folds_are_dealt_fairly(groups: list[tuple[str, int]], folds: int, seed: int) -> None:
    names = [f"g{i}" for i in range(len(groups))]
    strata, sizes = pd.Series([g[0] for g in groups], names), pd.Series([g[1] for g in groups], names)
    fold = deal(strata, sizes, folds, seed)
    assert sorted(fold.index) == sorted(names)
    for last in "abc":
        counts = np.bincount(fold[strata[strata >= last].index], minlength=folds)
        assert counts.max() - counts.min() <= 1
        counts = np.bincount(fold[strata[strata == last].index], minlength=folds)
        assert counts.max() - counts.min() <= 2


@pytest.mark.parametrize("seed", range(5))
def test_as_many_positives_as_folds_are_enough(seed: int) -> None:
    table = small(patients=24, positive=4)
    split = make_folds(BREAST, table, 4, seed)
    assert table.assign(fold=split["fold"]).groupby("fold")["target_cancer"].max().to_list() == [1] * 4


@pytest.mark.parametrize(
    ("table", "folds", "complaint"),
    [
        (small(24, 3), 4, "has no positive image of target_cancer.*make fewer folds"),
        (small(24, 24), 4, "fold 0 has no negative image"),
        (small(24, 4), 1, "cannot make 1 folds of 24 patients"),
        (small(3, 2), 4, "cannot make 4 folds of 3 patients"),
        (pd.concat([small(24, 4)] * 2), 4, "twice in the table.*split first"),
        (small(24, 4).drop(columns="target_cancer"), 4, "the table has no target_cancer"),
    ],
)
def test_what_cannot_be_split_is_refused(table: pd.DataFrame, folds: int, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        make_folds(BREAST, table, folds, seed=0)


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        program.main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


def test_the_command(shared_data: Path, real: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made" / "folds.csv"
    table = shared_data / "breast" / "train.csv.gz"
    assert run("folds", "--table", table, "--folds", 5, "--seed", 3, "--out", out) == 0
    folds = pd.read_csv(out, dtype=str)
    assert list(folds) == ["image_id", "fold"]
    assert check_folds(real, folds).to_list() == make_folds(BREAST, real, 5, 3)["fold"].to_list()
    printed = capsys.readouterr().out
    assert "cancer units" in printed
    assert f"{out}: 54706 images in 5 folds" in printed


def test_the_command_splits_a_prepared_set_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = small(24, 4)
    PreparedSpec("breast", ImagingSpec(), len(table), "").write(tmp_path)
    write_parquet(tmp_path / "table.parquet", table)
    write_csv(tmp_path / "folds.csv", table[["image_id"]].head(1).assign(fold=9))  # does not fit the set
    assert run("folds", "--prepared", tmp_path, "--folds", 2) == 0
    assert set(PreparedSet.open(tmp_path).table["fold"]) == {0, 1}
    assert f"{tmp_path / 'folds.csv'}: {len(table)} images in 2 folds" in capsys.readouterr().out


@pytest.mark.parametrize("given", [[], ["--table", "train.csv", "--prepared", "prepared"]])
def test_the_command_wants_one_table(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("folds", *given) == 2
    assert "either --table train.csv or --prepared DIR" in capsys.readouterr().err
