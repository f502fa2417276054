"""The prediction table and what stands in for an unusable image."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rsna.competitions import create_competition
from rsna.inference.fill import SOURCES, fill_missing, prior_table
from rsna.inference.predictions import prediction_table
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
        ("nothing is known", [NAN] * 4, [0.05, 0.04, 0.03, 0.02]),
    ],
)
def test_what_is_filled_in(case: str, given: list[float], expected: list[float]) -> None:
    prior = np.array([[0.05], [0.04], [0.03], [0.02]], np.float32)
    found, source = fill_missing(TABLE, np.array(given, np.float32).reshape(4, 1, 1), prior)
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6, err_msg=case)
    assert ((source > 0) == np.isnan(given)).all()


def test_it_is_said_where_a_value_comes_from() -> None:
    given = np.array([NAN, 0.2, NAN, NAN], np.float32).reshape(4, 1, 1)
    _, source = fill_missing(TABLE, given, np.full((4, 1), 0.02, np.float32))
    assert [SOURCES[index] for index in source] == ["unit", "", "group", "prior"]


def test_a_member_that_was_left_out_for_time_is_not_filled_in_with_priors() -> None:
    given = np.array([[0.1, 0.3], [0.2, NAN], [NAN, NAN], [NAN, NAN]], np.float32)[:, :, None]
    found, _ = fill_missing(TABLE, given, np.full((4, 1), 0.02, np.float32))
    np.testing.assert_allclose(found[:2], given[:2])  # what was predicted stays, gaps too
    np.testing.assert_allclose(found[2, :, 0], [0.15, 0.3], rtol=1e-6)
    np.testing.assert_allclose(found[3, :, 0], 0.02, rtol=1e-6)
    given[0, 1] = NAN
    found, _ = fill_missing(TABLE, given, np.full((4, 1), 0.02, np.float32))
    np.testing.assert_allclose(found[2, :, 0], [0.15, NAN], rtol=1e-6)  # rather one member than a prior beside it


@pytest.mark.parametrize(
    ("view", "age", "site", "expected"),
    [
        ("CC", "50-59", "1", 0.02),  # no key knows better
        ("MLO", "50-59", "1", 0.04),
        ("XX", "unknown", "9", 0.02),
        ("MLO", "70 and over", "1", 0.04 / 0.96 * 0.06 / 0.94 / (0.02 / 0.98)),  # odds multiply
    ],
)
def test_priors_by_view_age_and_site(view: str, age: str, site: str, expected: float) -> None:
    years = {"50-59": 55.0, "70 and over": 71.0, "unknown": NAN}[age]
    table = pd.DataFrame({"view": [view], "age": [years], "site_id": [site]})
    rates = {"overall": 0.02, "view": {"CC": 0.02, "MLO": 0.04}, "age": {"70 and over": 0.06}, "site": {"1": 0.02}}
    found = prior_table(create_competition("breast"), {"cancer": rates}, table)
    odds = expected if "70" in age else expected / (1 - expected)
    np.testing.assert_allclose(found, [[odds / (1 + odds)]], rtol=1e-5)
    assert found.dtype == np.float32
    rates["view"] = {"CC": 0.0, "MLO": 1.0}
    assert np.isfinite(prior_table(create_competition("breast"), {"cancer": rates}, table)).all()


def test_members_and_targets_are_filled_apart() -> None:
    given = np.arange(16, dtype=np.float32).reshape(4, 2, 2)
    given[0] = NAN
    given[3] = NAN
    filled, _ = fill_missing(TABLE, given, np.tile(np.array([[0.5, 0.25]], np.float32), (4, 1)))
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
