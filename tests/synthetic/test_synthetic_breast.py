"""The whole competition on disk: layout, the same bytes for any number of workers, going on after a kill."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from typer.testing import CliRunner

from rsna.cli.app import app
from rsna.errors import InputError
from rsna.synthetic import BreastOptions, make_breast
from rsna.synthetic.breast import IN_FLIGHT, bounded_map
from rsna.synthetic.tables import TEST_COLUMNS, TRAIN_COLUMNS

OPTIONS = BreastOptions(5, 3, scale=0.03, seed=11, positive_rate=0.5)


@pytest.fixture(scope="module")
def competition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "breast"
    make_breast(folder, OPTIONS)
    return folder


def fingerprint(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("part", [("train", ""), ("test", ""), ("test", "hidden")])
def test_every_row_has_its_image_and_every_image_its_row(competition: Path, part: tuple[str, str]) -> None:
    name, below = part
    root = competition / below
    table = pd.read_csv(root / f"{name}.csv", dtype=str)
    assert tuple(table.columns) == (TRAIN_COLUMNS if name == "train" else TEST_COLUMNS)
    expected = {f"{row.patient_id}/{row.image_id}.dcm" for row in table.itertuples()}
    images = root / f"{name}_images"
    assert {path.relative_to(images).as_posix() for path in images.rglob("*.dcm")} == expected


def test_files_agree_with_their_rows(competition: Path) -> None:
    for row in pd.read_csv(competition / "train.csv", dtype=str).itertuples():
        path = competition / "train_images" / row.patient_id / f"{row.image_id}.dcm"
        dataset = pydicom.dcmread(path)
        assert (dataset.PatientID, dataset.ImageLaterality, dataset.ViewPosition) == (
            row.patient_id,
            row.laterality,
            row.view,
        )
        assert dataset.pixel_array.shape == (dataset.Rows, dataset.Columns)


def test_the_visible_test_shows_one_patient_of_its_own(competition: Path) -> None:
    visible, train, hidden = (
        set(pd.read_csv(competition / path, dtype=str).patient_id)
        for path in ("test.csv", "train.csv", "hidden/test.csv")
    )
    assert len(visible) == 1
    assert not visible & train
    assert not (visible | train) & hidden


def test_workers_do_not_change_the_bytes(competition: Path, tmp_path: Path) -> None:
    make_breast(tmp_path / "again", OPTIONS, workers=2)
    assert fingerprint(tmp_path / "again") == fingerprint(competition)


def test_a_finished_competition_is_left_as_it_is(competition: Path) -> None:
    images = list(competition.rglob("*.dcm"))
    before = {path: path.stat().st_mtime_ns for path in images}
    make_breast(competition, OPTIONS)
    assert {path: path.stat().st_mtime_ns for path in images} == before


def test_a_killed_run_goes_on_to_the_same_bytes(competition: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.as_dict().items()]
    command = [sys.executable, "-m", "rsna.cli.app", "synth", "breast", f"--out={folder}", *options, "--workers=1"]
    process = subprocess.Popen(command)
    while process.poll() is None and not list(folder.rglob("*.dcm")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder / "train_images" / ".part-rest.dcm").write_bytes(b"half a file")
    make_breast(folder, OPTIONS)
    assert fingerprint(folder) == fingerprint(competition)


def test_other_options_into_the_same_folder_are_refused(competition: Path) -> None:
    with pytest.raises(InputError, match="made with other options"):
        make_breast(competition, BreastOptions(5, 3, scale=0.03, seed=12))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        make_breast(tmp_path, OPTIONS)


def test_command_reports_a_wrong_difficulty(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["synth", "breast", "--out", str(tmp_path), "--difficulty", "brutal"])
    assert isinstance(result.exception, InputError)
    assert "easy, normal, hard" in str(result.exception)


def test_the_pool_takes_a_bounded_number_of_items_at_a_time() -> None:
    taken = 0

    def numbers() -> Iterator[int]:
        nonlocal taken
        for number in range(200):
            taken += 1
            yield -number

    for done, result in enumerate(bounded_map(abs, numbers(), workers=2)):
        assert result == done
        assert taken - done <= 2 * IN_FLIGHT
    assert taken == 200


def test_the_breast_competition_reads_it_all(competition: Path) -> None:
    from rsna.competitions import create_competition

    breast = create_competition("breast")
    train = breast.train_table(competition)
    assert all((competition / path).is_file() for path in train["path"])
    hidden = competition / "hidden"
    assert all((hidden / path).is_file() for path in breast.test_table(hidden)["path"])
    solution = pd.read_csv(hidden / "solution.csv", dtype={"prediction_id": str})
    perfect = solution[["prediction_id", "cancer"]]
    assert breast.score(perfect, solution)["score"] == pytest.approx(1.0)
