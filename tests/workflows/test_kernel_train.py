"""The notebook `train`: finds its data, makes folds, stops in time, and goes on with what an earlier run left."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from rsna.errors import InputError
from rsna.tracking import read_identity
from rsna.tracking.mirror import Mirror
from rsna.training import deadline
from rsna.workflows import kernel_prepare, kernel_train
from rsna.workflows.kernel_train import main, mirror

SIZE = ["data=breast_256", "data.imaging.height=96", "data.imaging.width=64", "data.input.height=64"]
RUN = ["debug=smoke", "tracking=mlflow", "name=tiny", "limit=0", "trainer.epochs=3", "env.workers=0"]
OVERRIDES = [*RUN, *SIZE, "data.input.width=32", "env.runs=${oc.env:RSNA_WORKING}/runs"]
SESSION = "train-session.json"


@pytest.fixture(autouse=True)
def _kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    places = ("RSNA_DATA", "RSNA_PREPARED", "RSNA_FOLDS", "RSNA_WORKING")
    for name in (*places, "MLFLOW_TRACKING_URI", "MLFLOW_ALLOW_FILE_STORE", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(name, "")
    for module in (kernel_prepare, kernel_train):
        monkeypatch.setattr(module, "setup_logging", lambda: None)


@pytest.fixture
def mounts(trained: Path, tmp_path: Path) -> Path:
    """What a kernel sees below its input folder: a prepared set without folds."""
    prepared = tmp_path / "input/datasets/alice/rsna-prepared"
    shutil.copytree(trained / "prepared", prepared, ignore=shutil.ignore_patterns("folds.csv"))
    return tmp_path / "input"


def test_a_session_that_is_too_short_is_gone_on_with_by_the_next(
    mounts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told = {"overrides": OVERRIDES, "folds": 2}
    whole = main(told, time.time(), mounts, tmp_path / "whole")
    assert json.loads((tmp_path / "whole" / SESSION).read_text()) == {"state": "finished", "overrides": OVERRIDES}

    with monkeypatch.context() as patch:  # the session begins at 0 and ends itself at 150
        clock = itertools.count(0.0, 10.0)
        patch.setattr(deadline, "time", SimpleNamespace(time=lambda: next(clock)))
        assert main({**told, "session_hours": 200 / 3600}, 0.0, mounts, tmp_path / "first") == {}
    first = tmp_path / "first/runs/tiny/fold_0"
    assert "INCOMPLETE" in caplog.text
    assert json.loads((tmp_path / "first" / SESSION).read_text())["state"] == "incomplete"
    assert (first / "incomplete.json").is_file()
    assert 1 <= len(pd.read_csv(first / "history.csv")) < 3

    (mounts / "notebooks/alice").mkdir(parents=True)
    (mounts / "notebooks/alice/rsna-train").symlink_to(tmp_path / "first")
    assert main({}, time.time(), mounts, tmp_path / "second") == whole  # its overrides are the first one's
    second = tmp_path / "second/runs/tiny/fold_0"
    assert not (second / "incomplete.json").exists()
    assert (tmp_path / "second/folds.csv").read_bytes() == (tmp_path / "whole/folds.csv").read_bytes()
    weights = [(tmp_path / name / "runs/tiny/fold_0/weights.safetensors").read_bytes() for name in ("whole", "second")]
    assert weights[0] == weights[1]
    run = read_identity(second)["run_id"]
    assert run == read_identity(first)["run_id"]
    assert len(list((tmp_path / "second/mlruns").glob(f"*/{run}/metrics/val/loss"))) == 1


def test_what_is_not_mounted_is_said(mounts: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="attach the data set rsna-prepared"):
        main({}, time.time(), tmp_path / "nothing", tmp_path / "out")
    shutil.copytree(mounts / "datasets/alice/rsna-prepared", mounts / "datasets/alice/rsna-prepared-2")
    with pytest.raises(InputError, match="2 prepared sets are mounted"):
        main({}, time.time(), mounts, tmp_path / "out")


def test_runs_go_to_a_bucket_only_where_there_is_one_and_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kernel_train, "find_credentials", lambda: None)
    assert isinstance(mirror(tmp_path, {}), contextlib.nullcontext)
    assert isinstance(mirror(tmp_path, {"bucket": "alice-runs"}), contextlib.nullcontext)
    assert "no credentials for gs://alice-runs" in caplog.text
    assert isinstance(mirror(tmp_path, {"bucket": "alice-runs", "storage_emulator": "http://127.0.0.1:9"}), Mirror)
    assert os.environ["STORAGE_EMULATOR_HOST"] == "http://127.0.0.1:9"
    monkeypatch.setattr(kernel_train, "find_credentials", lambda: {"type": "service_account"})
    assert isinstance(mirror(tmp_path, {"bucket": "alice-runs"}), Mirror)
