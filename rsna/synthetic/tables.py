"""The competition's CSV files, made of the drawn patients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from rsna.synthetic.options import BreastOptions, Split
from rsna.synthetic.population import Breast, Image, Patient, draw_patient
from rsna.tables import write_csv

TRAIN_COLUMNS = (
    "site_id", "patient_id", "image_id", "laterality", "view", "age", "cancer", "biopsy", "invasive", "BIRADS",
    "implant", "density", "machine_id", "difficult_negative_case",
)  # fmt: skip
TEST_COLUMNS = (
    "site_id", "patient_id", "image_id", "laterality", "view", "age", "implant", "machine_id", "prediction_id",
)  # fmt: skip
SAMPLE_PROBABILITY = 0.021  # the constant of the sample submission: about the real rate


def draw_patients(options: BreastOptions, split: Split) -> Iterator[Patient]:
    """Draw the patients of a split, one after the other."""
    return (draw_patient(options, split, index) for index in range(options.size(split)))


def image_rows(patients: Iterable[Patient]) -> pd.DataFrame:
    """One row per image with the columns of train.csv and `prediction_id`, ordered as the real table is."""
    ordered = sorted(patients, key=lambda patient: patient.patient_id)
    return pd.DataFrame(
        [_row(patient, breast, image) for patient in ordered for breast in patient.breasts for image in breast.images]
    )


def write_train(folder: Path, patients: Iterable[Patient]) -> None:
    """Write train.csv."""
    write_csv(folder / "train.csv", image_rows(patients)[list(TRAIN_COLUMNS)])


def write_test(folder: Path, patients: Iterable[Patient]) -> None:
    """Write test.csv and sample_submission.csv."""
    rows = image_rows(patients)
    write_csv(folder / "test.csv", rows[list(TEST_COLUMNS)])
    sample = rows[["prediction_id"]].drop_duplicates().assign(cancer=SAMPLE_PROBABILITY)
    write_csv(folder / "sample_submission.csv", sample)


def write_solution(folder: Path, patients: Iterable[Patient]) -> None:
    """Write solution.csv: one row per breast with its label, and whether it counts for the public or private score."""
    ordered = sorted(patients, key=lambda patient: patient.patient_id)
    rows = [
        {
            "prediction_id": _prediction_id(patient, breast),
            "cancer": int(breast.cancer),
            "Usage": "Public" if patient.public else "Private",
        }
        for patient in ordered
        for breast in patient.breasts
    ]
    write_csv(folder / "solution.csv", pd.DataFrame(rows))


def _prediction_id(patient: Patient, breast: Breast) -> str:
    return f"{patient.patient_id}_{breast.laterality}"


def _row(patient: Patient, breast: Breast, image: Image) -> dict[str, Any]:
    return {
        "site_id": patient.site,
        "patient_id": patient.patient_id,
        "image_id": image.image_id,
        "laterality": breast.laterality,
        "view": image.view,
        "age": float(patient.age) if patient.age_known else None,
        "cancer": int(breast.cancer),
        "biopsy": int(breast.biopsy),
        "invasive": int(breast.invasive),
        "BIRADS": None if breast.birads is None else float(breast.birads),
        "implant": int(patient.implant),
        "density": patient.density if patient.density_known else None,
        "machine_id": patient.machine,
        "difficult_negative_case": breast.difficult,
        "prediction_id": _prediction_id(patient, breast),
    }
