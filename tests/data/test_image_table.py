"""The image table: its columns, its split, and paths that must not leave their folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsna.data import check_image_table, inside, join_folds
from rsna.errors import InputError
from rsna.io import file_name


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": ["1", "NA", "3"],
            "group_id": ["p", "p", "q"],
            "prediction_id": ["p_L", "p_R", "q_L"],
            "path": ["a.dcm", "b.dcm", "c.dcm"],
            "target_cancer": np.array([0, 1, np.nan], np.float32),
        }
    )


def test_a_right_table_passes_unchanged(table: pd.DataFrame) -> None:
    assert check_image_table(table, "here") is table


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.drop(columns="group_id"), "lacks the column.*group_id"),
        (lambda t: t.assign(image_id=["1", "1", "3"]), "'1' twice"),
        (lambda t: t.assign(image_id=["1", np.nan, "3"]), "image_id holds an empty value"),
        (lambda t: t.assign(group_id=[1, 1, 2]), "group_id holds .* not text"),
        (lambda t: t.assign(path=["a", "", "c"]), "path holds an empty value"),
        (lambda t: t.assign(target_cancer=[0.0, 1.0, 0.0]), "target_cancer is float64"),
        (lambda t: t.assign(aux_age=[50, 60, 70]), "aux_age is int64"),
        (lambda t: t.assign(fold=[0.0, 0.0, np.nan]), "fold is float64"),
    ],
)
def test_a_wrong_table_is_refused(table: pd.DataFrame, change: object, complaint: str) -> None:
    with pytest.raises(InputError, match=f"here.*{complaint}"):
        check_image_table(change(table), "here")  # type: ignore[operator]


def test_folds_join_by_image_id_in_the_order_of_the_table(table: pd.DataFrame) -> None:
    folds = pd.DataFrame({"image_id": ["3", "NA", "other", "1"], "fold": [1, 0, 1, 0]})
    assert join_folds(table, folds)["fold"].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("images", "folds", "complaint"),
    [
        (["1", "3"], [0, 1], "'NA'"),
        (["1", "NA", "3", "3"], [0, 0, 1, 0], "'3'"),
        (["1", "NA", "3"], [0, 1, 1], "'p'.*0, 1"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(
    table: pd.DataFrame, images: list[str], folds: list[int], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        join_folds(table, pd.DataFrame({"image_id": images, "fold": folds}))


@pytest.mark.parametrize("path", ["", ".", "/etc/passwd", "../x", "a/../../x", "a/..", "a\0b"])
def test_a_path_that_leaves_the_folder_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="does not stay inside data"):
        inside("data", path)


@given(st.text(min_size=1), st.text(min_size=1))
def test_an_id_as_a_file_name_stays_inside(patient: str, image: str) -> None:
    path = inside("data", f"images/{file_name(patient)}/{file_name(image)}.png")
    assert path.parent.parent == Path("data/images")
