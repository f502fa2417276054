"""W&B beside MLflow, with the real package in its offline mode."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wandb_file import artifacts, find_runs, last_run, metrics, read_records

from rsna.config import load
from rsna.config.compose import compose
from rsna.config.tracking import TrackingSpec
from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.tracking import Tracker

wandb = pytest.importorskip("wandb", reason="pip install wandb")

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def place(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the offline files go. Nothing of W&B is in the environment but that, and that it is offline."""
    for name in ("API_KEY", "PROJECT", "ENTITY", "BASE_URL"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / "wandb"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # of a person with an account
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(logging.getLogger("rsna"), "propagate", True)
    (tmp_path / "wandb").mkdir()
    yield tmp_path / "wandb"
    wandb.teardown()  # it reads the environment once a process


def spec(experiment: str) -> TrackingSpec:
    return TrackingSpec(experiment=experiment, wandb=True)


def test_an_offline_run_holds_what_mlflow_does(place: Path, client: Any, tmp_path: Path) -> None:
    (tmp_path / "oof.parquet").write_bytes(b"oof")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "loss.png").write_bytes(b"png")
    with Tracker(spec("beside"), "baseline/fold_0", tmp_path / "run") as tracker:
        tracker.log_config({"model": {"backbone": "resnet18"}, "fold": 0})
        for epoch, loss in enumerate((0.5, 0.25)):
            tracker.log_metrics({"train/loss": loss, "unit/auc": float("nan")}, epoch)
        tracker.log_metrics({"oof/unit/auc": 0.75}, 0)  # the best epoch, which is over
        tracker.log_artifact(tmp_path / "oof.parquet", "predictions")
        tracker.log_artifact(tmp_path / "plots", "plots")
        tracker.set_tags({"note": "a"})
        tracker.set_tags({"note": "b"})
    (path,) = find_runs(place)
    assert metrics(path) == [
        {"epoch": 0, "train/loss": 0.5},
        {"epoch": 1, "train/loss": 0.25},
        {"epoch": 0, "oof/unit/auc": 0.75},
    ]
    assert artifacts(path) == {"predictions": ["oof.parquet"], "plots": ["loss.png"]}
    run = last_run(path)
    assert (run.run_id, run.project, run.display_name) == (tracker.run_id, "beside", "baseline/fold_0")
    assert run.run_group == "baseline"
    code = client.get_run(tracker.run_id).data.tags
    expected = {f"commit={code['mlflow.source.git.commit']}", f"dirty={code['code.dirty']}", "note=b"}
    assert set(run.tags) == expected
    sent = [update for record in read_records(path) for update in record.run.config.update]
    assert [update.value_json for update in sent if update.key == "model"][-1] == '{"backbone":"resnet18"}'
    assert [record.exit.exit_code for record in read_records(path) if record.WhichOneof("record_type") == "exit"] == [0]


def test_a_resumed_run_goes_on_under_the_same_id(place: Path, client: Any, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Tracker(spec("again"), "r", tmp_path / "run") as first:  # noqa: PT012
        first.log_metrics({"loss": 2.0}, 0)
        raise KeyboardInterrupt
    with Tracker(spec("again"), "r", tmp_path / "run") as second:
        second.log_config({"epochs": 2})
        second.log_metrics({"loss": 1.0}, 1)
    runs = find_runs(place)
    assert [metrics(path) for path in runs] == [[{"epoch": 0, "loss": 2.0}], [{"epoch": 1, "loss": 1.0}]]
    assert {last_run(path).run_id for path in runs} == {first.run_id}
    assert [point.value for point in client.get_metric_history(first.run_id, "loss")] == [2.0, 1.0]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and "W&B" in record.getMessage()
    ]


def test_without_an_account_mlflow_has_everything(
    place: Path, client: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    with Tracker(spec("nobody"), "r", tmp_path / "run") as tracker:
        tracker.log_metrics({"loss": 1.0}, 0)
    (line,) = warnings(caplog)
    assert line.startswith("W&B records nothing of r (")
    assert line.endswith("`wandb login` first, or set WANDB_MODE=offline")
    assert client.get_run(tracker.run_id).data.metrics == {"loss": 1.0}
    assert client.get_run(tracker.run_id).info.status == "FINISHED"


ASK = "from rsna.tracking.wandb_run import open_wandb; print(open_wandb('a' * 32, 'p', 'r'))"


def test_a_terminal_is_never_asked_for_a_key(place: Path) -> None:
    terminal, other_end = pty.openpty()
    variables = {**os.environ, "WANDB_MODE": "online"}
    variables.pop("WANDB_SILENT", None)
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(
        command, stdin=other_end, stderr=other_end, stdout=subprocess.PIPE, env=variables, timeout=120, check=True
    )
    os.close(terminal)
    os.close(other_end)
    assert done.stdout.strip() == b"None"


def test_what_fails_later_costs_one_warning(
    place: Path, client: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Tracker(spec("later"), "r", tmp_path / "run") as tracker:
        tracker.log_metrics({"loss": 2.0}, 0)
        tracker.log_artifact(tmp_path / "absent", "plots")
        tracker.log_artifact(tmp_path / "absent", "plots")
        tracker.log_metrics({"loss": 1.0}, 1)
    (line,) = warnings(caplog)
    assert line.startswith(f"W&B did not take the artifact {tmp_path / 'absent'} (")
    assert [row["loss"] for row in metrics(find_runs(place)[0])] == [2.0, 1.0]
    assert [point.value for point in client.get_metric_history(tracker.run_id, "loss")] == [2.0, 1.0]


def test_without_the_package_no_run_is_made(
    place: Path, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"`pip install -e \.\[wandb\]`") as caught:
        Tracker(spec("lacking"), "r", tmp_path / "run").__enter__()
    assert "\n" not in str(caught.value)
    assert client.get_experiment_by_name("lacking") is None


def test_no_secret_is_written(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "KAGGLE_KEY", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.setattr(sys, "argv", [*sys.argv, f"--key={KEY}"])
    with Tracker(spec("secret"), "r", tmp_path / "run") as tracker:
        tracker.log_metrics({"loss": 1.0}, 0)
    assert find_runs(place)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_one_word_of_the_configuration_turns_it_on() -> None:
    assert (
        compose(TrainConfig, "train", ["tracking=wandb"]).tracking
        == compose(TrainConfig, "train", ["tracking.wandb=true"]).tracking
    )
    assert compose(TrainConfig, "train", ["tracking=wandb"]).tracking.backend == "mlflow"
    assert not compose(TrainConfig, "train").tracking.wandb
    with pytest.raises(InputError, match="beside MLflow"):
        load(TrackingSpec, {"backend": "none", "wandb": True})
