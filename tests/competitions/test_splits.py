"""A given split: whole, one fold an image, no patient on two sides, every fold with both classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rsna.competitions.splits import check_folds, check_positives, check_sides, check_split
from rsna.errors import InputError


def table() -> pd.DataFrame:
    columns = {"image_id": ["NA", "2", "3", "4"], "group_id": ["p", "p", "q", "r"]}
    return pd.DataFrame(columns, index=[7, 8, 9, 10])


def split(**change: object) -> pd.DataFrame:
    folds = pd.DataFrame({"image_id": ["4", "3", "2", "NA", "elsewhere"], "fold": [1, 0, 1, 1, 5]})
    return folds.assign(**change)


def test_the_folds_come_in_the_order_of_the_table() -> None:
    fold = check_folds(table(), split())
    assert fold.to_dict() == {7: 1, 8: 1, 9: 0, 10: 1}
    assert fold.dtype == np.int64


@pytest.mark.parametrize("fold", [["1", "0", "1", "1", "5"], [1.0, 0.0, 1.0, 1.0, 5.0]])
def test_whole_numbers_may_be_written_in_any_way(fold: list[object]) -> None:
    assert check_folds(table(), split(fold=fold)).to_list() == [1, 1, 0, 1]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"fold": [1, 0, 0, 1, 5]}, "patient or group 'p' is in the folds 0, 1"),
        ({"image_id": ["4", "3", "2", "5", "6"]}, "1 of 4 images have no fold, the first is 'NA'"),
        ({"image_id": ["4", "3", "2", "NA", "NA"]}, "image 'NA' is twice in the split"),
        ({"fold": [1, 0, 1, np.nan, 5]}, "image 'NA' has the fold nan;"),
        ({"fold": [1, 0, 1, -1, 5]}, "a fold is a whole number from 0"),
        ({"fold": [1, 0, 1, 0.5, 5]}, "image 'NA' has the fold 0.5"),
        ({"fold": ["a", "a", "a", "a", "b"]}, "image '4' has the fold a;"),
    ],
)
def test_a_broken_split_is_refused(change: dict[str, list[object]], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        check_folds(table(), split(**change))


def test_a_table_that_was_resampled_before_its_split_is_refused() -> None:
    with pytest.raises(InputError, match=r"'2' is twice in the table.*resample the training side afterwards"):
        check_folds(pd.concat([table(), table().iloc[[1, 1]]]), split())


def test_the_two_sides_of_a_fold_share_nothing() -> None:
    images = table().assign(fold=[1, 1, 0, 1])
    check_split(images, 1)
    with pytest.raises(InputError, match=r"fold 3 leaves nothing.*fold\(s\) 0, 1"):
        check_split(images, 3)
    with pytest.raises(InputError, match="patient or group 'p' is in training and in validation"):
        check_split(images.assign(fold=[0, 1, 0, 1]), 1)


def test_only_the_training_side_may_be_resampled() -> None:
    train, validation = table().iloc[:2], table().iloc[2:]
    check_sides(pd.concat([train, train]), validation)
    with pytest.raises(InputError, match="'3' is twice in the validation side"):
        check_sides(train, pd.concat([validation, validation]))
    with pytest.raises(InputError, match="image '3' is in training and in validation"):
        check_sides(table().iloc[:3], validation)


@pytest.mark.parametrize(
    ("target", "complaint"), [([1, 0, 0, 0], "fold 1 has no positive"), ([1, 1, 0, 1], "fold 0 has no neg")]
)
def test_a_fold_with_one_class_is_refused(target: list[int], complaint: str) -> None:
    images = table().assign(fold=[0, 0, 1, 1], target_cancer=target)
    with pytest.raises(InputError, match=f"{complaint}.*make fewer folds"):
        check_positives(images, ["target_cancer"])


def test_folds_with_both_classes_pass() -> None:
    check_positives(table().assign(fold=[0, 0, 1, 1], target_cancer=[0, 1, 0.9, 0.1]), ["target_cancer"])
