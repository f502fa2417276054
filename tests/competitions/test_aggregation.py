"""From images to breasts: members first, then images; what is unknown does not count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rsna.competitions.aggregation import per_image, per_unit
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
