"""Test tables and samples, damaged anyhow: a scoring rerun has a row and a prior for every unit, or one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import FUZZED, checked, damaged

from rsna.competitions import create_competition
from rsna.inference.fill import prior_table
from rsna.inference.salvage import SAMPLE_FILE, TEST_FILE, read_tables
from rsna.tables import write_csv

pytestmark = pytest.mark.fuzz
BREAST = create_competition("breast")
PRIORS = {"cancer": {"overall": 0.02, "view": {"CC": 0.01, "MLO": 0.03}, "age": {"50-59": 0.02}, "site": {"1": 0.03}}}
HEADER = b"site_id,patient_id,image_id,laterality,view,age,implant,machine_id,prediction_id\n"
TABLE = HEADER + b"".join(
    b"1,%d,%d%d,%b,%b,5%d,0,21,%d_%b\n" % (p, p, i, side, view, i, p, side)
    for p in (10, 11, 12)
    for i, (side, view) in enumerate((side, view) for side in (b"L", b"R") for view in (b"CC", b"MLO"))
)
SAMPLE = b"prediction_id,cancer\n" + b"".join(b"%d_%b,0.02\n" % (p, s) for p in (10, 11, 12) for s in (b"L", b"R"))


@FUZZED
@given(data=st.data())
def test_damaged_tables_of_a_rerun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject) -> None:
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")
    (tmp_path / TEST_FILE).write_bytes(data.draw(damaged(TABLE)))
    (tmp_path / SAMPLE_FILE).write_bytes(data.draw(st.just(SAMPLE) | damaged(SAMPLE)))
    tables = checked(lambda: read_tables(BREAST, tmp_path))
    if tables is None:
        return
    assert set(tables.unusable) <= set(range(len(tables.table)))
    rates = prior_table(BREAST, PRIORS, tables.table)
    predictions = tables.table[["image_id", "prediction_id"]].assign(member="m", tta=-1, pred_cancer=rates[:, 0])
    assert np.isfinite(rates).all()
    write_csv(tmp_path / "s.csv", BREAST.submission(predictions, "mean", None))
    BREAST.check_submission(tmp_path / "s.csv", tables.sample)
