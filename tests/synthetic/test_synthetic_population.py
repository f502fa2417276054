"""The drawn tables against the constants, and against the real table where it lies beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from rsna.errors import InputError
from rsna.synthetic import marginals
from rsna.synthetic.options import REAL_POSITIVE_RATE, BreastOptions
from rsna.synthetic.tables import TEST_COLUMNS, TRAIN_COLUMNS, draw_patients, image_rows, write_solution, write_test

PATIENTS = 4000


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return image_rows(draw_patients(BreastOptions(PATIENTS, 1, seed=5), "train"))


def patients_of(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop_duplicates("patient_id")


def breasts_of(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop_duplicates(["patient_id", "laterality"])


def test_ids_are_unique_and_every_patient_has_both_breasts_in_both_views(table: pd.DataFrame) -> None:
    assert table.image_id.is_unique
    assert table.patient_id.nunique() == PATIENTS
    assert len(breasts_of(table)) == 2 * PATIENTS
    seen = table[table["view"].isin(["CC", "MLO"])].groupby(["patient_id", "laterality"])["view"].nunique()
    assert (seen == 2).all()


def test_cancer_is_a_breast_level_label(table: pd.DataFrame) -> None:
    labels = table.groupby(["patient_id", "laterality"])[["cancer", "biopsy", "invasive"]].nunique()
    assert (labels == 1).all().all()
    assert (table.biopsy >= table.cancer).all()
    assert (table.cancer >= table.invasive).all()
    assert not (table.difficult_negative_case & (table.cancer == 1)).any()


def test_shares_follow_the_constants(table: pd.DataFrame) -> None:
    patients = patients_of(table)
    assert (patients.site_id == 1).mean() == pytest.approx(marginals.SITE_1_SHARE, abs=0.03)
    at_1 = patients[patients.site_id == 1]
    assert at_1.implant.mean() == pytest.approx(marginals.IMPLANT_SHARE[1], abs=0.012)
    assert (at_1.machine_id == 49).mean() == pytest.approx(0.789, abs=0.03)
    assert set(patients[patients.site_id == 2].machine_id) == {21, 29, 48}
    assert breasts_of(table).cancer.mean() == pytest.approx(REAL_POSITIVE_RATE, abs=0.006)
    assert len(table) / PATIENTS == pytest.approx(54_706 / 11_913, abs=0.08)


def test_site_2_leaves_out_density_and_most_birads(table: pd.DataFrame) -> None:
    breasts = breasts_of(table)
    at_2 = breasts[breasts.site_id == 2]
    assert at_2.density.isna().all()
    assert at_2.BIRADS.isna().mean() == pytest.approx(0.895, abs=0.02)
    at_1 = breasts[breasts.site_id == 1]
    assert at_1.density.isna().mean() < 0.01
    assert at_1.BIRADS.isna().mean() == pytest.approx(0.197, abs=0.03)
    assert (at_1[at_1.cancer == 1].BIRADS == 0).all()


@pytest.mark.parametrize("rate", [0.005, 0.1, 0.3, 0.8])
def test_positive_rate_holds_for_the_whole_population(rate: float) -> None:
    options = BreastOptions(PATIENTS, 1, positive_rate=rate)
    drawn = [breast.cancer for patient in draw_patients(options, "train") for breast in patient.breasts]
    assert sum(drawn) / len(drawn) == pytest.approx(rate, abs=4 * (rate * (1 - rate) / len(drawn)) ** 0.5)


def test_training_patients_do_not_depend_on_the_hidden_ones() -> None:
    some, many = (list(draw_patients(BreastOptions(30, hidden), "train")) for hidden in (1, 500))
    assert some == many


def test_splits_and_seeds_differ() -> None:
    options = BreastOptions(40, 40)
    ids = {split: {p.patient_id for p in draw_patients(options, split)} for split in ("train", "test", "hidden")}
    assert len(set.union(*ids.values())) == 81
    other = {p.patient_id for p in draw_patients(BreastOptions(40, 40, seed=1), "train")}
    assert other != ids["train"]


def test_written_tables_have_the_real_columns(tmp_path: Path) -> None:
    patients = list(draw_patients(BreastOptions(1, 20), "hidden"))
    write_test(tmp_path, patients)
    write_solution(tmp_path, patients)
    test, sample, solution = (
        pd.read_csv(tmp_path / f"{name}.csv") for name in ("test", "sample_submission", "solution")
    )
    assert tuple(test.columns) == TEST_COLUMNS
    assert list(sample.columns) == ["prediction_id", "cancer"]
    assert list(solution.columns) == ["prediction_id", "cancer", "Usage"]
    assert sample.prediction_id.tolist() == solution.prediction_id.tolist() == list(dict.fromkeys(test.prediction_id))
    assert set(solution.Usage) == {"Public", "Private"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"patients": 0}, "patients is 0"),
        ({"scale": 1.5}, "scale is 1.5"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"positive_rate": 0.0}, "positive_rate is 0.0"),
        ({"difficulty": "brutal"}, "choose one of easy, normal, hard"),
    ],
)
def test_options_out_of_range_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        BreastOptions(**{"patients": 2, "hidden_patients": 2, **change})  # type: ignore[arg-type]


def test_tables_look_like_the_real_one(table: pd.DataFrame, shared_data: Path) -> None:
    real = pd.read_csv(shared_data / "breast" / "train.csv.gz")
    assert tuple(real.columns) == TRAIN_COLUMNS
    for column, by, tolerance in (
        ("view", "image", 0.02),
        ("laterality", "image", 0.02),
        ("machine_id", "image", 0.04),
        ("BIRADS", "breast", 0.03),
        ("density", "breast", 0.03),
        ("biopsy", "breast", 0.015),
        ("difficult_negative_case", "breast", 0.03),
    ):
        counts = [
            (rows if by == "image" else breasts_of(rows))[column].value_counts(normalize=True, dropna=False)
            for rows in (real, table)
        ]
        assert (counts[0].sub(counts[1], fill_value=0).abs() < tolerance).all(), column
    for site in (1, 2):
        ages = [patients_of(rows[rows.site_id == site]).age for rows in (real, table)]
        assert (ages[0].quantile([0.1, 0.5, 0.9]) - ages[1].quantile([0.1, 0.5, 0.9])).abs().max() <= 2
