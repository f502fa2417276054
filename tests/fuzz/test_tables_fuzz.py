"""Tables, submissions and prepared sets that anybody may have written: checked values, or one line."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import FUZZED, ODD_TEXTS, checked, damaged

from rsna.competitions import create_competition
from rsna.config import ImagingSpec
from rsna.data import PreparedSet, PreparedSpec
from rsna.tables import Column, read_csv, read_parquet, write_csv, write_parquet

COLUMNS = (
    Column("id", "id"),
    Column("side", choices=("L", "R")),
    Column("age", "float", nullable=True),
    Column("flag", "bool", nullable=True),
    Column("fold", "int"),
)
CSV = b"id,side,age,flag,fold\n1,L,61.5,1,0\nNA,R,,True,1\n007,L,1e2,,2\n"
SAMPLE = pd.DataFrame({"prediction_id": ["1_L", "1_R", "NA"], "cancer": [0.02] * 3})
SUBMISSION = b"prediction_id,cancer\nNA,1\n1_L,0.25\n1_R,0\n"
CELLS = st.one_of(st.text(max_size=8), ODD_TEXTS.filter(lambda text: text.isprintable()), st.sampled_from("LR01"))


def check_table(table: pd.DataFrame | None) -> None:
    if table is None:
        return
    assert list(table.columns) == [column.name for column in COLUMNS]
    assert table["id"].ne("").all()
    assert table["side"].isin(["L", "R"]).all()
    for name in ("age", "flag"):
        assert np.isfinite(table[name].dropna()).all()
    assert (table["fold"].astype(np.int64) == table["fold"]).all()


@FUZZED
@given(data=st.data())
def test_damaged_csv(tmp_path: Path, data: st.DataObject) -> None:
    for name, content in (("t.csv", CSV), ("t.csv.gz", gzip.compress(CSV))):
        (tmp_path / name).write_bytes(data.draw(damaged(content)))
        check_table(checked(lambda name=name: read_csv(tmp_path / name, COLUMNS)))


@FUZZED
@given(cells=st.lists(st.tuples(*[CELLS] * 5), max_size=4))
def test_any_cells(tmp_path: Path, cells: list[tuple[str, ...]]) -> None:
    table = pd.DataFrame(cells, columns=[column.name for column in COLUMNS], dtype=object)
    text = table.to_csv(index=False)
    (tmp_path / "t.csv").write_bytes(text.encode("utf-8", "replace"))
    check_table(checked(lambda: read_csv(tmp_path / "t.csv", COLUMNS)))


@FUZZED
@given(data=st.data())
def test_damaged_submissions(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "submission.csv"
    path.write_bytes(data.draw(damaged(SUBMISSION) | st.binary(max_size=60).map(lambda tail: SUBMISSION + tail)))
    table = checked(lambda: create_competition("breast").check_submission(path, SAMPLE))
    if table is not None:
        assert sorted(table["prediction_id"]) == sorted(SAMPLE["prediction_id"])
        assert table["cancer"].between(0, 1).all()


def picture_table() -> pd.DataFrame:
    rows = [(str(i), f"p{i}", f"p{i}_L", f"images/{i}.png", i % 2, "x" * i) for i in range(6)]
    columns = ["image_id", "group_id", "prediction_id", "path", "target_cancer", "view"]
    return pd.DataFrame(rows, columns=columns).astype({"target_cancer": np.float32})


@pytest.mark.parametrize("compression", ["snappy", "gzip", "zstd", None])
@FUZZED
@given(data=st.data())
def test_damaged_parquet(tmp_path: Path, compression: str | None, data: st.DataObject) -> None:
    buffer = io.BytesIO()
    picture_table().to_parquet(buffer, index=False, compression=compression)
    path = tmp_path / "t.parquet"
    path.write_bytes(data.draw(damaged(buffer.getvalue())))
    table = checked(lambda: read_parquet(path))
    assert table is None or table.shape[0] < 10_000


@FUZZED
@given(data=st.data())
def test_damaged_prepared_sets(tmp_path: Path, data: st.DataObject) -> None:
    """What opens has every picture inside its folder."""
    PreparedSpec("breast", ImagingSpec(height=64, width=32), 6, "0" * 64).write(tmp_path)
    table = picture_table()
    table.loc[data.draw(st.integers(0, 5)), data.draw(st.sampled_from(["path", "image_id", "group_id"]))] = data.draw(
        CELLS
    )
    write_parquet(tmp_path / "table.parquet", table)
    write_csv(tmp_path / "folds.csv", table[["image_id"]].assign(fold=0))
    name = data.draw(st.sampled_from(["none", "spec.json", "table.parquet", "folds.csv"]))
    if name != "none":
        (tmp_path / name).write_bytes(data.draw(damaged((tmp_path / name).read_bytes())))
    prepared = checked(lambda: PreparedSet.open(tmp_path))
    if prepared is not None:
        for path in prepared.table["path"]:
            assert checked(lambda path=path: prepared.read(path)) is None  # there is no picture at all
