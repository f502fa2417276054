"""What is said of a rehearsed submission: the verdicts, the forecast, and its assumptions."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from rsna.io import write_json
from rsna.local_kaggle.execution import SessionResult
from rsna.local_kaggle.store import Store
from rsna.workflows.rehearse_report import Forecast, keep_scored, submit_report, submit_sessions

GIB = 2**30
SAFE = {"sandboxed": True, "proven_offline": True, "peak_memory": 3 * GIB, "peak_disk": GIB}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A hidden test of two patients with four images each, 1 megapixel."""
    for number in range(8):
        path = tmp_path / "data" / "hidden" / "test_images" / str(number // 4) / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.3.4"
        dataset.Rows, dataset.Columns = 1000, 1000
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        dataset.save_as(path, enforce_file_format=True)
    return tmp_path / "data"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """The output of a library kernel: one wheel that the image lacks and one that it has."""
    rows = [
        {"name": name, "version": "1", "file": f"{name}-1-py3-none-any.whl", "sha256": "0" * 64, "requirement": name}
        for name in ("not-in-any-image", "pydicom")
    ]
    write_json(tmp_path / "wheels" / "lock.json", {"wheels": rows})
    return tmp_path / "wheels"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A local Kaggle that knows the submit kernel."""
    store = Store(tmp_path / "state")
    store.write("INSERT INTO kernels VALUES (1, 'alice', 'rsna-submit', 'rsna-submit', 'python', 'notebook', 0)")
    return store


def add_session(
    store: Store, version: int, result: SessionResult, submission: int | None = None, seconds: float = 0.0
) -> None:
    """A session that has ended; one that took `seconds` for eight images has left its report and a submission."""
    statement = """INSERT INTO sessions (kernel, number, submission, request, status, outcome, report, created)
                   VALUES (1, ?, ?, '{}', 'COMPLETE', ?, ?, 0)"""
    store.write(statement, version, submission, result.outcome, json.dumps(asdict(result)))
    working = store.working_folder(store.row("SELECT max(id) FROM sessions")[0])
    if seconds:
        write_json(working / "predict_report.json", {"images": 8, "seconds": seconds})
        (working / "submission.csv").write_text("prediction_id,cancer\n")


def add_submission(store: Store, status: str, error: str = "", detail: str = "") -> None:
    statement = """INSERT INTO submissions (id, competition, description, file_name, status, error, detail, public,
                   private, created) VALUES (7, 'c', '', 'submission.csv', ?, ?, ?, 0.25, 0.75, 0)"""
    store.write(statement, status, error, detail)


def said(store: Store, data: Path, wheels: Path, factor: float = 1.0) -> dict[str, str]:
    """The report, lines of one name joined."""
    sessions, found = submit_sessions(store, "alice", "rsna-submit"), {}
    for name, text in submit_report(store, sessions, data, wheels, "local", factor):
        found[name] = f"{found.get(name, '')}\n{text}".strip()
    return found


@pytest.mark.parametrize(
    ("per_image", "starting", "cores", "factor", "hours"),
    [
        (1.0, 0.0, 4, 1.0, 32000 / 3600),  # a core here is one there
        (1.0, 0.0, 2, 1.0, 16000 / 3600),  # half the cores here: twice as fast there
        (1.0, 0.0, 4, 1.5, 48000 / 3600),
        (0.1, 3600.0, 4, 1.0, 1 + 3200 / 3600),  # the start counts once
    ],
)
def test_the_forecast(per_image: float, starting: float, cores: int, factor: float, hours: float) -> None:
    forecast = Forecast(8, 2, 8 * per_image, starting, cores, factor)
    assert forecast.hidden_images == 32000
    assert forecast.hours == pytest.approx(hours)


def test_a_good_submission(store: Store, data: Path, wheels: Path, tmp_path: Path) -> None:
    add_session(store, 1, SessionResult("error", "an earlier version"))
    add_session(store, 2, SessionResult("complete", seconds=30, **SAFE))
    add_session(store, 2, SessionResult("complete", seconds=28, **(SAFE | {"peak_memory": 4 * GIB})), 7, seconds=8.0)
    add_submission(store, "COMPLETE")
    found = said(store, data, wheels, factor=2.0)
    assert found["offline"].startswith("yes")
    assert found["wheels"].startswith("none missing; 1 that the image lacks are brought: not-in-any-image")
    assert found["visible run"] == "complete in 30 s"
    assert found["scoring rerun"] == "complete in 28 s; public score 0.25000, private 0.75000"
    assert found["peak memory"].startswith("4,096 MiB of 30 GiB")
    assert found["speed"] == "1.000 s an image (8 images in 8 s), 20 s to start"
    assert "8,000 patients" in found["forecast"]
    for words in ("2 times as slow", "4.0 images a patient", "32,000 in all", "1.00 megapixels", "cores"):
        assert words in found["assuming"]
    assert keep_scored(submit_sessions(store, "alice", "rsna-submit"), tmp_path / "submission.csv")
    assert (tmp_path / "submission.csv").is_file()


def test_it_says_when_it_would_be_too_late(store: Store, data: Path, wheels: Path) -> None:
    add_session(store, 1, SessionResult("complete", seconds=900, **SAFE), 7, seconds=800.0)
    assert said(store, data, wheels, factor=9.0)["forecast"].endswith("of 9 h: TOO LATE")


def test_a_missing_wheel_is_named(store: Store, data: Path, wheels: Path, tmp_path: Path) -> None:
    add_session(store, 1, SessionResult("error", "ModuleNotFoundError: No module named 'gdcm'", **SAFE))
    found = said(store, data, wheels)
    assert found["offline"] == "NO, it fails: ModuleNotFoundError: No module named 'gdcm'"
    assert found["wheels"].startswith("MISSING: gdcm; add it to offline_wheels/requirements.txt")
    assert "forecast" not in found
    assert not keep_scored(submit_sessions(store, "alice", "rsna-submit"), tmp_path / "submission.csv")


def test_nothing_is_proven_without_a_sandbox(store: Store, data: Path, wheels: Path) -> None:
    add_session(store, 1, SessionResult("complete", seconds=30))
    found = said(store, data, wheels)
    assert found["offline"].startswith("NOT PROVEN")
    assert "NOT PROVEN" in found["wheels"]
    assert found["peak memory"] == "not measured without a sandbox"


def test_a_rerun_that_is_not_scored(store: Store, data: Path, wheels: Path) -> None:
    add_session(store, 1, SessionResult("complete", seconds=30, **SAFE))
    add_session(store, 1, SessionResult("timeout", "it ran for more than 9 s", 9.5, **SAFE), 7)
    add_submission(store, "ERROR", "Notebook Timeout", "it ran for more than 9 s")
    found = said(store, data, wheels)
    assert "error Notebook Timeout" in found["scoring rerun"]
    assert found["offline"].startswith("NO, it fails")


def test_pictures_of_the_visible_run_count_where_there_was_no_rerun(store: Store, data: Path, wheels: Path) -> None:
    (data / "hidden" / "test_images").rename(data / "test_images")
    add_session(store, 1, SessionResult("complete", seconds=30, **SAFE), seconds=8.0)
    assert "4.0 images a patient" in said(store, data, wheels)["assuming"]
