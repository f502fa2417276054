"""From images to breasts: members first, then images; what is unknown does not count."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsna.competitions.aggregation import LearnedAggregation, per_image, per_unit, unit_statistics, with_column
from rsna.config import dump, load
from rsna.errors import InputError

NAN = float("nan")


def predictions() -> pd.DataFrame:
    """Two breasts; image `a` was seen by two members."""
    rows = [
        ("a", "p_R", "m1", 0.2, 1),
        ("a", "p_R", "m2", 0.4, 1),
        ("b", "p_R", "m1", 0.9, 1),
        ("c", "p_R", "m1", 0.5, 1),
        ("d", "p_L", "m1", NAN, 0),
        ("e", "p_L", "m1", 0.1, 0),
    ]
    table = pd.DataFrame(rows, columns=["image_id", "prediction_id", "member", "pred_cancer", "target_cancer"])
    return table.astype({"pred_cancer": np.float32, "target_cancer": np.float32})


@pytest.mark.parametrize(
    ("how", "right"),
    [("mean", (0.3 + 0.9 + 0.5) / 3), ("max", 0.9), ("min", 0.3), ("median", 0.5)],
)
def test_how_images_become_a_breast(how: str, right: float) -> None:
    units = per_unit(predictions(), how)
    assert list(units["prediction_id"]) == ["p_R", "p_L"]  # in the order of the table
    assert units["pred_cancer"].to_list() == pytest.approx([right, 0.1])
    assert units["target_cancer"].to_list() == [1, 0]
    assert units["pred_cancer"].dtype == np.float64


def test_an_image_is_the_mean_of_its_members_and_nan_only_where_all_are() -> None:
    images = per_image(predictions())
    assert images["pred_cancer"].to_list() == pytest.approx([0.3, 0.9, 0.5, NAN, 0.1], nan_ok=True)


def test_a_unit_without_predictions_is_nan_and_targets_are_optional() -> None:
    lost = predictions().assign(pred_cancer=np.float32(NAN)).drop(columns="target_cancer")
    units = per_unit(lost, "max")
    assert units["pred_cancer"].isna().all()
    assert list(units) == ["prediction_id", "pred_cancer"]


def test_an_unknown_aggregation_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="'mode'; choose one of mean, max, min, median"):
        per_unit(predictions(), "mode")


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=5), min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_noisy_or_is_the_chance_of_at_least_one(units: list[list[float]]) -> None:
    rows = [(f"{u}_{i}", str(u), p) for u, images in enumerate(units) for i, p in enumerate(images)]
    found = per_unit(pd.DataFrame(rows, columns=["image_id", "prediction_id", "pred_cancer"]), "noisy_or")
    expected = [1 - np.prod([1 - p for p in images]) for images in units]
    np.testing.assert_allclose(found["pred_cancer"], expected, atol=2e-6)


def test_noisy_or_of_no_prediction_is_nan() -> None:
    units = per_unit(predictions().assign(pred_cancer=[NAN, NAN, NAN, 0.5, NAN, NAN]), "noisy_or")
    assert units["pred_cancer"].to_list() == pytest.approx([0.5, NAN], nan_ok=True)


def test_ordered_statistics_of_a_unit() -> None:
    statistics = unit_statistics(per_image(predictions()), "cancer")
    logits = {p: np.log(p / (1 - p)) for p in (0.3, 0.9, 0.5, 0.1)}
    assert statistics.loc["p_R"].to_list() == pytest.approx(
        [logits[0.9], logits[0.5], np.mean([logits[0.3], logits[0.9], logits[0.5]]), logits[0.3], np.log(3)], abs=1e-5
    )
    assert statistics.loc["p_L"].to_list() == pytest.approx([logits[0.1]] * 4 + [0], abs=1e-5)


def test_a_learned_aggregation_is_a_logistic_regression_by_column() -> None:
    models = {"": {"cancer": (0.0, 1.0, 0.0, 0.0, 0.0, 0.0)}, "2": {"cancer": (-1.0, 0.0, 0.0, 0.0, 0.0, 0.0)}}
    rows = predictions().assign(site_id=["1"] * 4 + ["2"] * 2)
    units = per_unit(rows, LearnedAggregation(models, "site_id"))
    assert units["pred_cancer"].to_list() == pytest.approx([0.9, 1 / (1 + np.e)], abs=1e-5)
    with pytest.raises(InputError, match="goes by site_id, which the predictions lack"):
        per_unit(predictions(), LearnedAggregation(models, "site_id"))
    table = pd.DataFrame({"image_id": list("abcde"), "site_id": ["1", "1", "1", "2", "2"]})
    how = LearnedAggregation(models, "site_id")
    pd.testing.assert_frame_equal(per_unit(with_column(predictions(), how, table), how), units)
    with pytest.raises(InputError, match="which the image table does not have"):
        with_column(predictions(), how, table.drop(columns="site_id"))
    with pytest.raises(ValueError, match="needs the model ''"):
        LearnedAggregation({"1": models[""]})


def test_a_learned_aggregation_survives_json() -> None:
    how = LearnedAggregation({"": {"cancer": (0.5, 1.0, 0.0, 0.0, 0.0, 0.25)}})
    assert load(LearnedAggregation, json.loads(json.dumps(dump(how)))) == how
