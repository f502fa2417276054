"""Shards: each patient in one of them, and the merged set the same as one made in one go."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from preparing import configure, overrides, tree

from rsna.cli.app import main
from rsna.config import ImagingSpec
from rsna.data import PreparedSet
from rsna.errors import InputError
from rsna.preparation.prepare import prepare
from rsna.preparation.shards import Shard, merge_shards


@pytest.fixture(scope="session")
def shards(competition: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The two shards of the competition, in a folder each; not to be changed."""
    folders = [tmp_path_factory.mktemp("shards") / str(index) for index in (1, 2)]
    for index, folder in enumerate(folders, start=1):
        prepare(configure(competition, folder), Shard(index, 2))
    return folders


@given(st.lists(st.integers(0, 5), min_size=1), st.integers(1, 4))
def test_every_image_is_in_one_shard_and_every_patient_too(patients: list[int], count: int) -> None:
    table = pd.DataFrame({"image_id": range(len(patients)), "group_id": patients})
    parts = [Shard(index, count).take(table) for index in range(1, count + 1)]
    assert sorted(image for part in parts for image in part["image_id"]) == list(range(len(patients)))
    assert sum(part["group_id"].nunique() for part in parts) == len(set(patients))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", "1.5/2"])
def test_a_wrong_shard_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="shard"):
        Shard.parse(text)


def test_merged_shards_are_the_set_made_in_one_go(shards: list[Path], whole: Path, tmp_path: Path) -> None:
    merge_shards(shards[::-1], tmp_path)
    assert tree(tmp_path) == tree(whole)


def test_shards_in_one_folder_merge_in_place(competition: Path, whole: Path, tmp_path: Path) -> None:
    for index in (1, 2, 3):
        prepare(configure(competition, tmp_path), Shard(index, 3))
    with pytest.raises(InputError, match="not finished"):
        PreparedSet.open(tmp_path)
    merge_shards([tmp_path], tmp_path)
    merged = tree(tmp_path)
    assert {name: merged[name] for name in tree(whole)} == tree(whole)


def test_a_shard_may_be_empty(competition: Path, tmp_path: Path) -> None:
    folders = [prepare(configure(competition, tmp_path / str(i)), Shard(i, 2), limit=2).folder for i in (1, 2)]
    merge_shards(folders, tmp_path / "merged")
    prepare(configure(competition, tmp_path / "whole"), limit=2)
    assert tree(tmp_path / "merged") == tree(tmp_path / "whole")


def test_failures_are_merged_in_the_order_of_the_table(competition: Path, whole: Path, tmp_path: Path) -> None:
    data = shutil.copytree(competition, tmp_path / "data")
    bad = PreparedSet.open(whole).table.groupby("group_id", sort=False).head(1)  # one image of every patient
    for path in bad["source_path"]:
        (data / path).write_bytes(b"")
    folders = [prepare(configure(data, tmp_path / str(i)), Shard(i, 2)).folder for i in (1, 2)]
    merge_shards(folders, tmp_path / "merged")
    prepare(configure(data, tmp_path / "whole"))
    assert tree(tmp_path / "merged") == tree(tmp_path / "whole")
    assert pd.read_csv(tmp_path / "merged/failed.csv", dtype=str)["image_id"].tolist() == bad["image_id"].tolist()


def test_an_interrupted_merge_can_be_run_again(shards: list[Path], whole: Path, tmp_path: Path) -> None:
    merge_shards(shards, tmp_path)
    (tmp_path / "table.parquet").unlink()
    paths = PreparedSet.open(whole).table["path"]
    (tmp_path / paths[4]).unlink()
    (tmp_path / paths[4]).with_name(".part-killed.png").write_bytes(b"half")
    merge_shards(shards, tmp_path)
    assert tree(tmp_path) == tree(whole)


def test_pictures_are_copied_where_they_cannot_be_linked(
    shards: list[Path], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    merge_shards(shards, tmp_path)
    assert tree(tmp_path) == tree(whole)


def test_a_missing_shard_is_named(shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"shard\(s\) 2/2 are missing"):
        merge_shards(shards[:1], tmp_path)


def test_a_shard_given_twice_is_refused(shards: list[Path], tmp_path: Path) -> None:
    copy = shutil.copytree(shards[0], tmp_path / "copy")
    with pytest.raises(InputError, match=r"shard 1/2 is in .* and in .*copy"):
        merge_shards([*shards, copy], tmp_path / "out")


def test_shards_of_different_divisions_are_refused(shards: list[Path], competition: Path, tmp_path: Path) -> None:
    prepare(configure(competition, tmp_path / "third"), Shard(3, 3))
    with pytest.raises(InputError, match=r"shard 3/3 .* is not one of 2"):
        merge_shards([*shards, tmp_path / "third"], tmp_path / "out")


def test_shards_of_different_sets_are_refused(shards: list[Path], competition: Path, tmp_path: Path) -> None:
    prepare(configure(competition, tmp_path / "other", ImagingSpec(height=32, width=32)), Shard(2, 2))
    with pytest.raises(InputError, match=r"different sets: imaging\.height: 64 != 32"):
        merge_shards([shards[0], tmp_path / "other"], tmp_path / "out")


def test_a_shard_without_one_of_its_pictures_is_refused(shards: list[Path], tmp_path: Path) -> None:
    copy = shutil.copytree(shards[0], tmp_path / "copy")
    next(copy.rglob("*.png")).unlink()
    with pytest.raises(InputError, match=r"picture .*\.png is missing"):
        merge_shards([copy, shards[1]], tmp_path / "out")


def test_a_whole_set_is_no_shard(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished shard"):
        merge_shards([whole], tmp_path)


def test_the_command_line(
    competition: Path, shards: list[Path], whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = configure(competition, tmp_path / "first")
    with pytest.raises(SystemExit, match="0"):
        main(["prepare", *overrides(first), "--shard", "1/2"])
    with pytest.raises(SystemExit, match="0"):
        main(["prepare", "--merge", first.env.prepared, str(shards[1]), "--out", str(tmp_path / "merged")])
    assert tree(tmp_path / "merged") == tree(whole)
    assert f"merged: {len(PreparedSet.open(whole).table)} pictures" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["prepare", "--merge", str(shards[0])])
    assert "go together" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["prepare", "--merge", str(shards[0]), "--out", str(tmp_path / "merged"), "--limit", "3"])
    assert "leave out" in capsys.readouterr().err
