"""One column specification serves every reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.errors import InputError
from rsna.tables import Column, read_csv, read_parquet, write_csv, write_parquet

COLUMNS = (
    Column("id", "id"),
    Column("side", choices=("L", "R")),
    Column("age", "float", nullable=True),
    Column("flag", "bool", nullable=True),
    Column("site", "int"),
    Column("note", "str", required=False, nullable=True),
)
HEADER = "id,side,age,flag,site\n"


def _read(tmp_path: Path, text: str, extra: bool = False) -> pd.DataFrame:
    (tmp_path / "t.csv").write_text(text)
    return read_csv(tmp_path / "t.csv", COLUMNS, extra)


def test_values_get_their_kind_and_ids_stay_text(tmp_path: Path) -> None:
    table = _read(tmp_path, HEADER + "NA,L,,True,1\n007,R,61.5,0,2\n")
    assert table["id"].tolist() == ["NA", "007"]
    assert np.isnan(table["age"].iloc[0])
    assert table["age"].iloc[1] == pytest.approx(61.5)
    assert table["flag"].tolist() == [1.0, 0.0]
    assert table["site"].tolist() == [1, 2]
    assert table["age"].dtype == np.float32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,side,age,flag\n1,L,1,1\n", "lacks the column(s) site"),
        (HEADER.replace("site", "site,surplus") + "1,L,1,1,1,1\n", "unexpected column(s) surplus"),
        (",id,side,age,flag,site\n0,1,L,1,1,1\n", "index=False"),
        (HEADER + "1,L,1,1,1\n2,X,1,1,1\n", "row 3, column side: 'X' is not one of L, R"),
        (HEADER + "1,,1,1,1\n", "column side: '' is a missing value"),
        (HEADER + ",L,1,1,1\n", "column id: '' is an empty id"),
        (HEADER + "1,L,old,1,1\n", "column age: 'old' is not a number"),
        (HEADER + "1,L,inf,1,1\n", "column age: 'inf' is not a number"),
        (HEADER + "1,L,1,2,1\n", "neither true nor false"),
        (HEADER + "1,L,1,1,1.5\n", "not a whole number"),
        (HEADER + "1,L,1,1,x\n2,L,1,1,y\n", "(2 rows in all)"),
        ("", "not a CSV table"),
        ('id,side\n"1,L\n', "not a CSV table"),
    ],
)
def test_bad_tables_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, text)
    assert message in str(caught.value)
    assert "t.csv" in str(caught.value)


def test_extra_columns_are_kept_on_request(tmp_path: Path) -> None:
    assert _read(tmp_path, HEADER[:-1] + ",mine\n1,L,1,1,1,NA\n", extra=True)["mine"].tolist() == ["NA"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the table .*none\.csv"):
        read_csv(tmp_path / "none.csv", COLUMNS)
    with pytest.raises(InputError, match=r"cannot read the table .*none\.parquet"):
        read_parquet(tmp_path / "none.parquet")


def test_files_are_written_without_an_index(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["NA", "b"], "x": [1.0, 2.0]}, index=[7, 9])
    write_csv(tmp_path / "a.csv", table)
    assert (tmp_path / "a.csv").read_text() == "id,x\nNA,1.0\nb,2.0\n"
    write_parquet(tmp_path / "a.parquet", table)
    assert read_parquet(tmp_path / "a.parquet")["id"].tolist() == ["NA", "b"]
    (tmp_path / "b.parquet").write_text("no")
    with pytest.raises(InputError, match="not a parquet table"):
        read_parquet(tmp_path / "b.parquet")
