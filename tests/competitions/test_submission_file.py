"""The submission check: one clear line for each way in which a file goes wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.competitions import create_competition
from rsna.errors import InputError

BREAST = create_competition("breast")
SAMPLE = pd.DataFrame({"prediction_id": ["1_L", "1_R", "NA"], "cancer": [0.02] * 3})
GOOD = "prediction_id,cancer\nNA,1\n1_L,0.25\n1_R,0\n"


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "submission.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content", [GOOD, GOOD.replace("\n", "\r\n"), GOOD.rstrip(), GOOD + "\n\n", GOOD.replace("0.25", "2.5e-1")]
)
def test_a_good_submission_in_any_order_of_rows(tmp_path: Path, content: str) -> None:
    table = BREAST.check_submission(write(tmp_path, content), SAMPLE)
    assert table["prediction_id"].to_list() == ["NA", "1_L", "1_R"]
    assert table["cancer"].to_list() == [1, 0.25, 0]
    assert table["cancer"].dtype == np.float64


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (b"PK\x03\x04\xff\xfe", "is not a CSV table in UTF-8"),
        (b"PK\x03\x04\xff\xfe\x00", "holds a NUL byte"),
        ("prediction_id,cancer\n" + "1_L,0\n" * 20_000, "more than 10006 rows"),
        ("prediction_id,cancer\n1_L," + "9" * 2**21 + "\n", "a line of more than 1 MB"),
        ("prediction_id,cancer\n1_L," + "9" * 2**18 + "\n", "field larger than field limit"),
        ("prediction_id,cancer\n" + "x\ty" * 10_000 + ",0\n", "the id 'x.ty.* is not in the sample"),
        ('prediction_id,cancer\n"1_L', "is not a CSV table"),
        ("\ufeff" + GOOD, "byte order mark"),
        ("prediction_id,cancer\n", "3 of 3 ids are missing, the first is '1_L'"),
        (GOOD.replace("1_R,0\n", ""), "1 of 3 ids are missing, the first is '1_R'"),
        (GOOD + "2_L,0\n", "'2_L' is not in the sample"),
        (GOOD + "1_L,0\n", "'1_L' is there twice"),
        (GOOD.replace("1_L", " 1_L"), "' 1_L' has spaces around it"),
        (GOOD.replace("cancer", " cancer"), "spaces around a column name"),
        (GOOD.replace("cancer", "Cancer"), r"column\(s\) cancer are missing"),
        ("cancer,prediction_id\n1,NA\n0.25,1_L\n0,1_R\n", "columns are in another order"),
        (",prediction_id,cancer\n0,NA,1\n1,1_L,0\n2,1_R,0\n", "index column was written.*index=False"),
        ("Unnamed: 0,prediction_id,cancer\n7,NA,1\n8,1_L,0\n9,1_R,0\n", "index column was written"),
        ("row,prediction_id,cancer\n0,NA,1\n1,1_L,0\n2,1_R,0\n", "index column was written"),
        ("prediction_id,cancer,note\nNA,1,x\n1_L,0,y\n1_R,0,z\n", "column 'note' is one too many"),
        ("prediction_id,cancer,cancer\nNA,1,1\n1_L,0,0\n1_R,0,0\n", "column 'cancer' is one too many"),
        (GOOD.replace("1_L,0.25", "1_L"), "row 3: 1 values where the header has 2"),
        (GOOD.replace("1_L,0.25", "1_L,0,25"), "row 3: 3 values where the header has 2"),
        (GOOD.replace("0.25", ""), "row 3, column cancer: '' is missing"),
        (GOOD.replace("0.25", "nan"), "row 3, column cancer: 'nan' is missing"),
        (GOOD.replace("0.25", "yes"), "row 3, column cancer: 'yes' is not a number"),
        (GOOD.replace("0.25", "inf"), r"row 3, column cancer: 'inf' is outside \[0, 1\]"),
        (GOOD.replace("0.25", "-0.01"), r"'-0.01' is outside \[0, 1\]"),
        (GOOD.replace("0.25", "1.5").replace(",0\n", ",2\n"), r"row 3, .* \(2 such rows\)"),
    ],
)
def test_a_bad_submission_is_one_line(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError, match=complaint) as caught:
        BREAST.check_submission(path, SAMPLE)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.csv", tmp_path):
        with pytest.raises(InputError, match="cannot read the submission"):
            BREAST.check_submission(path, SAMPLE)


def test_the_sample_may_be_a_file(tmp_path: Path) -> None:
    sample = tmp_path / "sample_submission.csv"
    SAMPLE.to_csv(sample, index=False)
    assert len(BREAST.check_submission(write(tmp_path, GOOD), sample)) == 3
    assert len(BREAST.sample_submission(tmp_path)) == 3
