"""Opening a prepared set: what is checked, and what its pictures are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.config import ImagingSpec
from rsna.data import PreparedSet, PreparedSpec, read_pictures
from rsna.errors import ImageError, InputError
from rsna.imaging import write_png
from rsna.tables import write_csv, write_parquet

IMAGES = 9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A prepared set of nine pictures, each filled with its own number, of three patients."""
    imaging = ImagingSpec(height=16, width=8)
    PreparedSpec("breast", imaging, IMAGES, "0" * 64, "data", {"numpy": "2"}).write(tmp_path)
    paths = [f"images/p{i % 3}/{i}.png" for i in range(IMAGES)]
    for number, path in enumerate(paths):
        write_png(tmp_path / path, np.full((16, 8), number, np.uint8))
    table = pd.DataFrame({"image_id": [str(i) for i in range(IMAGES)], "path": paths})
    table["group_id"] = table["prediction_id"] = [f"p{i % 3}" for i in range(IMAGES)]
    write_parquet(tmp_path / "table.parquet", table.assign(target_cancer=np.float32(0)))
    return tmp_path


def test_a_set_opens_with_its_spec_and_table(folder: Path) -> None:
    prepared = PreparedSet.open(folder)
    assert prepared.spec.imaging == ImagingSpec(height=16, width=8)
    assert prepared.spec.versions == {"numpy": "2"}
    assert len(prepared.table) == IMAGES
    assert "fold" not in prepared.table
    assert prepared.read("images/p1/4.png").tolist() == np.full((16, 8), 4).tolist()


def test_its_own_folds_are_joined_and_others_replace_them(folder: Path) -> None:
    folds = pd.DataFrame({"image_id": [str(i) for i in range(IMAGES)], "fold": [i % 3 for i in range(IMAGES)]})
    write_csv(folder / "folds.csv", folds)
    write_csv(folder / "other.csv", folds.assign(fold=0))
    assert PreparedSet.open(folder).table["fold"].tolist() == [0, 1, 2] * 3
    assert PreparedSet.open(folder, folder / "other.csv").table["fold"].tolist() == [0] * IMAGES
    with pytest.raises(InputError, match=r"none\.csv"):
        PreparedSet.open(folder, folder / "none.csv")


def test_pictures_come_in_the_order_of_the_table(folder: Path) -> None:
    prepared = PreparedSet.open(folder)
    table = prepared.table.iloc[::-1]
    assert [int(pixels[0, 0]) for pixels in read_pictures(prepared, table)] == list(range(IMAGES))[::-1]


def test_a_missing_picture_is_an_error(folder: Path) -> None:
    (folder / "images/p1/4.png").unlink()
    prepared = PreparedSet.open(folder)
    with pytest.raises(ImageError, match=r"4\.png"):
        list(read_pictures(prepared, prepared.table))


def test_a_path_does_not_leave_the_set(folder: Path) -> None:
    with pytest.raises(InputError, match="does not stay inside"):
        PreparedSet.open(folder).read("../secret.png")


def test_a_folder_without_a_spec_is_no_prepared_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no prepared data set"):
        PreparedSet.open(tmp_path)


def test_a_set_without_its_table_is_not_finished(folder: Path) -> None:
    (folder / "table.parquet").unlink()
    with pytest.raises(InputError, match="not finished"):
        PreparedSet.open(folder)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema": 99}, "schema version 99"),
        ({"schema": None}, "schema version None"),
        ({"images": 8}, "was edited"),
        ({"hash": "x"}, "was edited"),
        ({"colour": "red"}, r"unknown key\(s\) colour"),
    ],
)
def test_a_foreign_or_edited_spec_is_refused(folder: Path, change: dict[str, object], complaint: str) -> None:
    path = folder / "spec.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=complaint):
        PreparedSet.open(folder)


def test_a_spec_that_is_a_list_is_refused(folder: Path) -> None:
    (folder / "spec.json").write_text("[]")
    with pytest.raises(InputError, match="schema version None"):
        PreparedSet.open(folder)


def test_where_and_with_what_a_set_was_made_is_not_its_identity() -> None:
    here = PreparedSpec("breast", ImagingSpec(), 1, "0", "here", {"numpy": "1"})
    there = PreparedSpec("breast", ImagingSpec(), 1, "0", "there", {"numpy": "2"})
    other = PreparedSpec("breast", ImagingSpec(bits=16), 1, "0", "here", {"numpy": "1"})
    assert here.hash == there.hash != other.hash
