"""The breast competition's tables: the real one, small ones, and broken ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.competitions import create_competition, list_competitions
from rsna.errors import InputError

BREAST = create_competition("breast")


def test_the_registry_lists_what_it_knows() -> None:
    assert "breast" in list_competitions()
    with pytest.raises(InputError, match=r"no competition 'brest'; known: .*breast"):
        create_competition("brest")


def test_the_real_training_table(shared_data: Path) -> None:
    table = BREAST.read_train(shared_data / "breast" / "train.csv.gz")
    units = table.drop_duplicates("prediction_id")
    assert len(table) == 54_706
    assert table["group_id"].nunique() == 11_913
    assert table["target_cancer"].sum() == 1_158
    assert len(units) == 23_826
    assert units["target_cancer"].sum() == 492
    assert table["view"].value_counts().to_dict() == {"MLO": 27903, "CC": 26765, "AT": 19, "LM": 10, "ML": 8, "LMO": 1}
    assert table["path"].iloc[0] == "train_images/10006/462822612.dcm"
    assert table["machine_id"].nunique() == 10
    assert table["aux_BIRADS"].isna().sum() == 28_420
    assert table["aux_density"].value_counts().to_dict() == {0: 3105, 1: 12651, 2: 12175, 3: 1539}
    assert table["aux_difficult_negative_case"].sum() == 7_705


def test_a_training_table_becomes_an_image_table(train_csv: Path) -> None:
    table = BREAST.train_table(train_csv.parent)
    last = table.iloc[-1]
    assert (last["image_id"], last["group_id"], last["prediction_id"]) == ("NA", "NA", "NA_R")
    assert last["path"] == "train_images/NA/NA.dcm"
    assert np.isnan(last["age"])
    assert (last["aux_BIRADS"], last["aux_density"], last["aux_biopsy"], last["implant"]) == (0, 3, 1, 1)
    assert table["target_cancer"].to_list() == [0, 0, 1, 0]
    numbers = [c for c in table if c.startswith(("target_", "aux_"))]
    assert set(table[numbers].dtypes) == {np.dtype(np.float32)}


def test_a_test_table_has_no_targets(hidden_csv: Path) -> None:
    table = BREAST.test_table(hidden_csv.parent)
    assert table["prediction_id"].to_list() == ["10008_L", "10008_R"]
    assert table["path"].iloc[0] == "test_images/10008/736471439.dcm"
    assert not [c for c in table if c.startswith(("target_", "aux_"))]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (",cancer,", ",cancers,", r"lacks the column\(s\) cancer"),
        ("difficult_negative_case\n", "difficult_negative_case,fold\n", r"unexpected column\(s\) fold"),
        ("1459541791,L,", "1459541791,X,", "row 3, column laterality: 'X' is not one of L, R"),
        ("1459541791,L,MLO", "1459541791,L,XCCL", "row 3, column view: 'XCCL' is not one of CC, MLO"),
        ("1459541791,L,", "1459541791,,", "row 3, column laterality: '' is a missing value"),
        ("1459541791", "462822612", "row 3, column image_id: the image '462822612' is there twice"),
        ("1459541791", "", "row 3, column image_id: '' is an empty id"),
        ("MLO,61.0,1,", "MLO,61.0,2,", "row 4, column cancer: '2' is neither true nor false"),
        ("MLO,61.0,1,", "MLO,old,1,", "row 4, column age: 'old' is not a number"),
        ("L,MLO,61.0,0,", "L,MLO,61.0,1,", r"images of '10006_L' disagree on target_cancer: 0\.0, 1\.0"),
        (",D,", ",E,", "row 5, column density: 'E' is not one of A, B, C, D"),
    ],
)
def test_a_broken_table_is_named_with_row_and_column(train_csv: Path, old: str, new: str, complaint: str) -> None:
    text = train_csv.read_text()
    if "fold" in new:
        text = text.replace("False\n", "False,0\n").replace("True\n", "True,0\n")
    train_csv.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=complaint) as caught:
        BREAST.read_train(train_csv)
    assert str(train_csv) in str(caught.value)


def test_a_breast_of_two_patients_is_refused(hidden_csv: Path) -> None:
    hidden_csv.write_text(
        hidden_csv.read_text().replace("2,10008,1591370361,R,CC,81,0,21,10008_R", "2,9,1,R,CC,8,0,2,10008_L")
    )
    with pytest.raises(InputError, match="'10008_L' disagree on group_id: 10008, 9"):
        BREAST.read_test(hidden_csv)


def test_a_missing_and_an_empty_table(tmp_path: Path, train_csv: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the table .*nowhere"):
        BREAST.train_table(tmp_path / "nowhere")
    train_csv.write_text(train_csv.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match="a header and no rows"):
        BREAST.read_train(train_csv)


def test_strata_are_of_patients(train_csv: Path) -> None:
    strata = BREAST.strata(BREAST.read_train(train_csv))
    assert strata.to_dict() == {"10006": "1 with cancer, site 2", "NA": "0 with cancer, site 1"}


def test_the_fold_report_counts_each_fold(train_csv: Path) -> None:
    report = BREAST.fold_report(BREAST.read_train(train_csv).assign(fold=[0, 0, 0, 1]))
    first, second = report.loc[0], report.loc[1]
    assert (first["images"], first["groups"], first["units"], first["cancer_units"]) == (3, 1, 2, 1)
    assert (second["images"], second["cancer_images"], second["cancer_units"]) == (1, 0, 0)
    assert (first["site_2_share"], first["site_2_mean_age"], second["site_1_share"]) == (1, 61, 1)
    assert (first["machines"], first["machines_unseen_elsewhere"]) == (1, "29")


def test_priors_are_smoothed_rates_of_images(shared_data: Path) -> None:
    priors = BREAST.priors(BREAST.read_train(shared_data / "breast" / "train.csv.gz"))["cancer"]
    assert json.loads(json.dumps(priors)) == priors
    assert priors["overall"] == pytest.approx(1158 / 54706)
    assert priors["view"]["LMO"] == pytest.approx(100 * priors["overall"] / 101)  # one image, negative
    assert priors["age"]["40-49"] < priors["age"]["50-59"] < priors["age"]["60-69"] < priors["age"]["70 and over"]
    assert set(priors["age"]) == {"under 40", "40-49", "50-59", "60-69", "70 and over", "unknown"}
    assert set(priors["site"]) == {"1", "2"}


def test_prior_keys_of_test_images_are_those_of_training(train_csv: Path, hidden_csv: Path) -> None:
    keys = BREAST.prior_keys(BREAST.read_test(hidden_csv))
    known = BREAST.priors(BREAST.read_train(train_csv))["cancer"]
    assert set(keys) == set(known) - {"overall"}
    assert keys["age"].to_list() == ["70 and over"] * 2
    ages = pd.DataFrame({"age": [39.0, 40.0, np.nan], "view": "CC", "site_id": "1"})
    assert BREAST.prior_keys(ages)["age"].to_list() == ["under 40", "40-49", "unknown"]
