"""A local Kaggle in a thread of the test."""

from __future__ import annotations

from pathlib import Path

import pytest
from kaggle_lab import Lab, lab, server  # noqa: F401


@pytest.fixture
def breast(tmp_path: Path) -> Path:
    """A competition's folder as `rsna synth breast` makes it, without images: one visible patient, four hidden."""
    folder = tmp_path / "breast"
    (folder / "hidden").mkdir(parents=True)
    (folder / "train.csv").write_text("patient_id,cancer\n1,0\n")
    (folder / "train_images" / "1").mkdir(parents=True)
    (folder / "train_images" / "1" / "10.dcm").write_bytes(b"DICM")
    for place, patients in ((folder, [1]), (folder / "hidden", [2, 3, 4, 5])):
        units = [f"{patient}_{side}" for patient in patients for side in "LR"]
        (place / "test.csv").write_text("prediction_id\n" + "".join(f"{unit}\n" for unit in units))
        (place / "sample_submission.csv").write_text(
            "prediction_id,cancer\n" + "".join(f"{unit},0.02\n" for unit in units)
        )
    rows = [f"{unit},{int(unit.endswith('L'))},{'Public' if unit < '4' else 'Private'}\n" for unit in units]
    (folder / "hidden" / "solution.csv").write_text("prediction_id,cancer,Usage\n" + "".join(rows))
    return folder
