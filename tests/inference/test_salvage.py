"""Odd tables: in a scoring rerun they cost what they spoil and nothing else, in a visible run they are an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from rsna.competitions import create_competition
from rsna.errors import InputError
from rsna.inference import Bundle, PredictOptions, predict_supervised
from rsna.inference.fill import prior_table
from rsna.inference.salvage import Tables, read_tables

BREAST = create_competition("breast")
PRIORS = {"cancer": {"overall": 0.02, "view": {"CC": 0.01, "MLO": 0.03}}}
Edit = Callable[[Path], object]


@pytest.fixture
def rerun(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Kaggle's scoring rerun."""
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")


def line(number: int, change: Callable[[str], str]) -> Edit:
    """Change one line of a file, the header being line 0."""

    def edit(path: Path) -> None:
        lines = path.read_text().splitlines()
        lines[number] = change(lines[number])
        path.write_text("\n".join(lines) + "\n")

    return edit


def without(column: str) -> Edit:
    return lambda path: pd.read_csv(path, dtype=str).drop(columns=column).to_csv(path, index=False)


def value(column: str, text: str, row: int = 0) -> Edit:
    def edit(path: Path) -> None:
        table = pd.read_csv(path, dtype=str)
        table.loc[row, column] = text
        table.to_csv(path, index=False)

    return edit


def appended(text: bytes) -> Edit:
    return lambda path: path.write_bytes(path.read_bytes() + text)


ALL = {str(number) for number in range(100, 112)}
ODD: dict[str, tuple[Edit, set[str]]] = {  # and the images that are lost
    "a column less": (without("machine_id"), set()),
    "no laterality": (without("laterality"), set()),
    "no view": (without("view"), set()),
    "no units": (without("prediction_id"), set()),
    "no images": (without("image_id"), ALL),
    "no patients": (without("patient_id"), ALL),
    "a column more": (line(0, lambda text: text + ",more"), ALL),
    "a laterality that is not there": (value("laterality", ""), set()),
    "a view that nobody knows": (value("view", "sideways"), set()),
    "an age in words": (value("age", "old"), set()),
    "an image without a name": (value("image_id", ""), {"100"}),
    "a row twice": (appended(b"1,10,100,L,CC,50,0,21,10_L\n"), set()),
    "an image in two patients": (appended(b"1,11,100,L,CC,50,0,21,11_L\n"), set()),
    "a unit of two patients": (value("patient_id", "11"), set()),
    "rubbish at the end": (appended(b'\0\xff\xfe"rubbish,,\n'), set()),
    "rubbish in the middle": (line(5, lambda _: '"no,end'), {"104"}),
    "a row too short": (line(12, lambda text: text[:9]), {"111"}),
    "a unit that is not asked for": (value("prediction_id", "99_L"), {"100"}),
    "spaces around a unit": (value("prediction_id", " 10_L "), set()),
    "nothing": (lambda path: path.write_bytes(b""), ALL),
    "only a header": (lambda path: path.write_text(path.read_text().splitlines()[0] + "\n"), ALL),
    "another file": (lambda path: path.write_bytes(bytes(range(256)) * 99), ALL),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), ALL),
    "missing": (lambda path: path.unlink(), ALL),
}


def check(tables: Tables, units: set[str]) -> None:
    """That every unit that is asked for has a row, and a number even where no image can be read."""
    assert set(tables.table["prediction_id"]) == units == set(tables.sample["prediction_id"])
    assert len(tables.sample) == len(units)
    assert tables.table["image_id"].is_unique
    rates = prior_table(BREAST, PRIORS, tables.table)
    assert ((rates > 0) & (rates < 0.05)).all()


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_test_table_costs_a_rerun_only_what_it_spoils(competition: Path, rerun: None, kind: str) -> None:
    edit, lost = ODD[kind]
    edit(competition / "test.csv")
    tables = read_tables(BREAST, competition)
    assert tables.problems
    units = {f"{patient}_{side}" for patient in ("10", "11", "12") for side in "LR"}
    check(tables, units)
    found = tables.table.drop(index=list(tables.unusable))
    expected = ALL - lost
    if kind == "a unit of two patients":  # the first one is believed, whose folder holds no such file
        expected = ALL - {"101"}
    assert set(found["image_id"]) == expected
    assert tables.table["prediction_id"][list(tables.unusable)].tolist() == sorted(units - set(found["prediction_id"]))


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_test_table_fails_a_visible_run(competition: Path, kind: str) -> None:
    ODD[kind][0](competition / "test.csv")
    with pytest.raises(InputError) as caught:
        read_tables(BREAST, competition)
    assert caught.value.exit_status == 2


ODD_SAMPLES: dict[str, Edit] = {
    "missing": lambda path: path.unlink(),
    "no ids": without("prediction_id"),
    "an id twice": appended(b"10_L,0.02\n"),
    "a value that is none": value("cancer", "unknown"),
    "an id without a name": appended(b",0.02\n"),
}


@pytest.mark.parametrize("kind", ODD_SAMPLES)
def test_an_odd_sample_still_says_which_units_are_asked_for(competition: Path, rerun: None, kind: str) -> None:
    ODD_SAMPLES[kind](competition / "sample_submission.csv")
    tables = read_tables(BREAST, competition)
    check(tables, {f"{patient}_{side}" for patient in ("10", "11", "12") for side in "LR"})
    assert (len(tables.table), tables.unusable) == (12, {})


def test_units_that_only_the_sample_knows_get_a_row(competition: Path, rerun: None) -> None:
    appended(b"77_L,0.02\n")(competition / "sample_submission.csv")
    tables = read_tables(BREAST, competition)
    assert tables.table.loc[list(tables.unusable), "prediction_id"].tolist() == ["77_L"]
    assert len(tables.table) == 13


def test_without_any_unit_there_is_nothing_to_submit(competition: Path, rerun: None) -> None:
    for name in ("test.csv", "sample_submission.csv"):
        (competition / name).write_text("")
    with pytest.raises(InputError, match=r"test\.csv is not a CSV table"):
        read_tables(BREAST, competition)


def test_sound_tables_are_taken_as_they_are(competition: Path, rerun: None) -> None:
    tables = read_tables(BREAST, competition)
    assert (tables.problems, tables.unusable) == ((), {})
    pd.testing.assert_frame_equal(tables.table, BREAST.test_table(competition))


def test_a_rerun_with_an_odd_table_ends_with_a_submission_and_says_so(
    bundle: Bundle, competition: Path, tmp_path: Path, options: PredictOptions, rerun: None
) -> None:
    for edit in (value("laterality", ""), value("image_id", "../../100", row=1), value("view", "?", row=2)):
        edit(competition / "test.csv")
    line(12, lambda _: "\x00rubbish")(competition / "test.csv")
    line(11, lambda _: "")(competition / "test.csv")
    out = tmp_path / "out/s.csv"
    report = predict_supervised(bundle.folder, competition, out, probability=True, options=options)
    BREAST.check_submission(out, competition / "sample_submission.csv")
    assert json.loads((out.parent / "predict_report.json").read_text()) == report
    assert "not one of L, R" in report["problems"][0] or "NUL" in report["problems"][0]
    assert report["problems"][-1].startswith("1 of 6 units have no usable row")
    reasons = {failed["image_id"]: failed for failed in report["failed"]}
    assert set(reasons) == {"../../100", "12_R"}
    assert "does not stay inside" in reasons["../../100"]["reason"]
    assert reasons["12_R"] == {
        "image_id": "12_R",
        "path": "nowhere/12_R/12_R.dcm",
        "reason": "no usable row of test.csv names an image of it",
        "filled_from": "prior",
    }
    assert report["restarts"] == []
