"""The prediction table and what stands in for an unusable image."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rsna.inference.predictions import fill_missing, prediction_table
from rsna.inference.schema import Member

NAN = np.nan
MEMBERS = [Member("fold_0.safetensors", "", 0, 1), Member("fold_1.safetensors", "", 1, 2)]
TABLE = pd.DataFrame(
    {
        "image_id": ["a", "b", "c", "d"],
        "prediction_id": ["1_L", "1_L", "1_R", "2_L"],
        "group_id": ["1", "1", "1", "2"],
    }
)


@pytest.mark.parametrize(
    ("case", "given", "expected"),
    [
        ("nothing is missing", [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
        ("the other view of the breast", [NAN, 0.2, 0.6, 0.4], [0.2, 0.2, 0.6, 0.4]),
        ("the patient's other breast", [0.1, 0.3, NAN, 0.4], [0.1, 0.3, 0.2, 0.4]),
        ("a whole breast from the other one", [NAN, NAN, 0.6, 0.4], [0.6, 0.6, 0.6, 0.4]),
        ("the prior for a whole patient", [0.1, 0.2, 0.3, NAN], [0.1, 0.2, 0.3, 0.02]),
        ("nothing is known", [NAN] * 4, [0.02] * 4),
    ],
)
def test_what_is_filled_in(case: str, given: list[float], expected: list[float]) -> None:
    found = fill_missing(TABLE, np.array(given, np.float32).reshape(4, 1, 1), [0.02])
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6, err_msg=case)


def test_members_and_targets_are_filled_apart() -> None:
    given = np.arange(16, dtype=np.float32).reshape(4, 2, 2)
    given[0] = NAN
    given[3] = NAN
    filled = fill_missing(TABLE, given, [0.5, 0.25])
    np.testing.assert_array_equal(filled[0], given[1])
    np.testing.assert_array_equal(filled[3], [[0.5, 0.25], [0.5, 0.25]])
    np.testing.assert_array_equal(filled[1:3], given[1:3])


def test_the_table_of_a_test_set() -> None:
    probabilities = np.arange(8, dtype=np.float32).reshape(4, 2, 1) / 10
    table = prediction_table(TABLE, probabilities, MEMBERS, ["cancer"])
    assert list(table) == ["image_id", "prediction_id", "member", "model_fold", "row_fold", "tta", "pred_cancer"]
    assert table["member"].tolist() == ["fold_0"] * 4 + ["fold_1"] * 4
    assert table["model_fold"].tolist() == [0] * 4 + [1] * 4
    assert set(table["row_fold"]) == {-1}
    assert set(table["tta"]) == {-1}
    np.testing.assert_allclose(table.loc[table["member"] == "fold_1", "pred_cancer"], [0.1, 0.3, 0.5, 0.7])
    assert table["pred_cancer"].dtype == np.float32


def test_the_table_of_training_images_keeps_fold_and_truth() -> None:
    train = TABLE.assign(fold=[2, 2, 2, 0], target_cancer=np.array([0, 0, 1, 0], np.float32), aux_biopsy=1.0)
    table = prediction_table(train, np.zeros((4, 1, 1), np.float32), MEMBERS[:1], ["cancer"])
    assert table["row_fold"].tolist() == [2, 2, 2, 0]
    assert table["target_cancer"].tolist() == [0, 0, 1, 0]
    assert "aux_biopsy" not in table


def test_the_scale_travels_in_the_file(tmp_path) -> None:
    table = prediction_table(TABLE, np.zeros((4, 2, 1), np.float32), MEMBERS, ["cancer"])
    table.to_parquet(tmp_path / "predictions.parquet")
    assert pd.read_parquet(tmp_path / "predictions.parquet").attrs["scale"] == "probability"
