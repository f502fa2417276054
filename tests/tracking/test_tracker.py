"""The tracker, judged by what MLflow's own client reads back."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rsna.config import load
from rsna.config.tracking import TrackingSpec
from rsna.errors import InputError, RsnaError
from rsna.tracking import Tracker, read_identity
from rsna.tracking.mlflow_run import MAX_PARAM_CHARS, flatten, shorten

CONFIG = {"model": {"backbone": "resnet18", "options": {}}, "betas": [0.9, 0.999], "weights": None, "notes": "x" * 9000}


def artifacts(client: Any, run_id: str, folder: str | None = None) -> list[str]:
    """Every artifact of a run, as MLflow lists them."""
    found = client.list_artifacts(run_id, folder)
    return [p for f in found for p in (artifacts(client, run_id, f.path) if f.is_dir else [f.path])]


def history(client: Any, run_id: str, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, metric)]


@pytest.mark.parametrize("store", ["database", "files"])
def test_what_is_logged_can_be_read(store: str, project: Path, client: Any, tmp_path: Path) -> None:
    uri = "" if store == "database" else f"file:{tmp_path / 'mlruns'}"
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"weights")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "loss.png").write_bytes(b"png")
    with Tracker(TrackingSpec(experiment="breast", uri=uri), "baseline/fold_0", tmp_path / "run") as tracker:
        tracker.log_config(CONFIG)
        tracker.log_metrics({"train/loss": 0.5, "unit/auc": float("nan")}, step=0)
        tracker.log_metrics({"train/loss": 0.25, "unit/auc": 0.75}, step=1)
        tracker.log_artifact(weights)
        tracker.log_artifact(tmp_path / "plots", "plots")
        tracker.set_tags({"fold": "0"})

    reader = type(client)(uri) if uri else client
    run = reader.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "baseline/fold_0"
    assert run.data.tags["fold"] == "0"
    assert run.data.params["model.backbone"] == "resnet18"
    assert run.data.params["betas"] == "[0.9, 0.999]"
    assert len(run.data.params["notes"]) <= MAX_PARAM_CHARS
    assert history(reader, tracker.run_id, "train/loss") == [(0, 0.5), (1, 0.25)]
    assert history(reader, tracker.run_id, "unit/auc") == [(1, 0.75)]
    names = artifacts(reader, tracker.run_id)
    assert {"weights.safetensors", "plots/loss.png", "config.yaml", "environment/packages.txt"} <= set(names)
    local = reader.download_artifacts(tracker.run_id, "config.yaml", str(tmp_path))
    assert "x" * 9000 in Path(local).read_text()


def test_artifacts_lie_under_the_hidden_folder(project: Path, client: Any, tmp_path: Path) -> None:
    with Tracker(TrackingSpec(experiment="a/b ü"), "r", tmp_path / "run") as tracker:
        tracker.log_config({"a": 1})
    found = list((project / ".rsna" / "mlartifacts").glob(f"*/{tracker.run_id}/artifacts/config.yaml"))
    assert len(found) == 1
    assert not (project / "mlruns").exists()


@pytest.mark.parametrize("store", ["database", "files"])
def test_a_resumed_run_goes_on_without_repeating_steps(store: str, project: Path, client: Any, tmp_path: Path) -> None:
    spec = TrackingSpec(experiment="resume", uri="" if store == "database" else f"file:{tmp_path / 'mlruns'}")
    with pytest.raises(KeyboardInterrupt), Tracker(spec, "r", tmp_path / "run") as first:  # noqa: PT012
        first.log_config({"epochs": 3, "workers": 1})
        first.log_metrics({"loss": 3.0}, 0)
        first.log_metrics({"loss": 2.0}, 1)
        raise KeyboardInterrupt
    reader = type(client)(spec.uri) if spec.uri else client
    assert reader.get_run(first.run_id).info.status == "KILLED"

    with Tracker(spec, "r", tmp_path / "run") as second:
        assert reader.get_run(second.run_id).info.status == "RUNNING"
        second.log_config({"epochs": 3, "workers": 8})  # a parameter of a run never changes
        second.log_metrics({"loss": 2.0}, 1)
        second.log_metrics({"loss": 1.0, "new": 7.0}, 2)
    assert second.run_id == first.run_id
    assert history(reader, first.run_id, "loss") == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert history(reader, first.run_id, "new") == [(2, 7.0)]
    run = reader.get_run(first.run_id)
    assert run.data.params == {"epochs": "3", "workers": "1"}
    assert run.info.status == "FINISHED"


def test_a_deleted_run_stays_deleted(project: Path, client: Any, tmp_path: Path) -> None:
    spec = TrackingSpec(experiment="deleted")
    with Tracker(spec, "r", tmp_path / "run") as first:
        pass
    client.delete_run(first.run_id)
    with Tracker(spec, "r", tmp_path / "run") as second:
        pass
    assert second.run_id != first.run_id
    assert client.get_run(first.run_id).info.lifecycle_stage == "deleted"
    assert read_identity(tmp_path / "run")["run_id"] == second.run_id


def test_a_failure_is_recorded_and_passed_on(project: Path, client: Any, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Tracker(TrackingSpec(experiment="fail"), "r", tmp_path / "run") as tracker:
        1 / 0  # noqa: B018
    assert client.get_run(tracker.run_id).info.status == "FAILED"


def test_a_store_that_fails_later_costs_a_warning(
    project: Path, client: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("rsna"), "propagate", True)
    with Tracker(TrackingSpec(experiment="full disk"), "r", tmp_path / "run") as tracker:
        folder = project / ".rsna" / "mlartifacts" / "full%20disk"
        shutil.rmtree(folder)
        folder.write_text("in the way")
        tracker.log_artifact(tmp_path / "run" / "mlflow_run.json")
        client.delete_run(tracker.run_id)
        tracker.log_metrics({"loss": 1.0}, 0)
    assert "MLflow did not take the artifact" in caplog.text
    assert "MLflow did not take metrics" in caplog.text


def test_without_a_backend_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Tracker(TrackingSpec(backend="none"), "r", tmp_path / "run") as tracker:
        tracker.log_config(CONFIG)
        tracker.log_metrics({"loss": 1.0}, 0)
        tracker.log_artifact(tmp_path / "absent")
        tracker.set_tags({"a": "b"})
    assert tracker.run_id == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "nonsense://x", "file:/proc/no/x"])
def test_a_store_that_cannot_be_opened_is_one_line(uri: str, project: Path, client: Any, tmp_path: Path) -> None:
    with pytest.raises(RsnaError, match=r"cannot record in MLflow: .*tracking=none$") as caught:
        Tracker(TrackingSpec(uri=uri), "r", tmp_path / "run").__enter__()
    assert "\n" not in str(caught.value)


def test_a_database_that_is_none_is_one_line(project: Path, client: Any, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("some text that is longer than the header of a database, to be read as none")
    with pytest.raises(RsnaError, match="not a database"):
        Tracker(TrackingSpec(uri=f"sqlite:///{tmp_path / 'mlflow.db'}"), "r", tmp_path / "run").__enter__()


def test_a_deleted_experiment_is_one_line(project: Path, client: Any, tmp_path: Path) -> None:
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(InputError, match="experiment gone was deleted"):
        Tracker(TrackingSpec(experiment="gone"), "r", tmp_path / "run").__enter__()


def test_a_file_store_in_the_way_of_the_ui_is_told(
    project: Path, client: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("rsna"), "propagate", True)
    meta = project / "mlruns" / "0" / "meta.yaml"
    meta.parent.mkdir(parents=True)
    meta.write_text("")
    with Tracker(TrackingSpec(experiment="way"), "r", tmp_path / "run"):
        pass
    shutil.rmtree(project / "mlruns")
    assert "plain `mlflow ui` will open that" in caplog.text


SCRIPT = """
import sys
from pathlib import Path
from rsna.config.tracking import TrackingSpec
from rsna.tracking import Tracker

with Tracker(TrackingSpec(experiment="quiet"), "r", Path(sys.argv[1])) as tracker:
    tracker.log_config({"a": 1})
    tracker.log_metrics({"loss": 1.0}, 0)
"""


def test_secrets_of_the_environment_are_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAGGLE_KEY", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "hunter2-do-not-log")
    with Tracker(TrackingSpec(uri=f"file:{tmp_path / 'mlruns'}"), "r", tmp_path / "run") as tracker:
        tracker.log_config({"a": 1})
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "environment.json" for path in files)
    assert not [path for path in files if b"hunter2" in path.read_bytes()]


@pytest.mark.slow
def test_a_new_database_is_made_in_silence(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "run")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "mlflow.db").is_file()


@pytest.mark.slow
def test_folds_may_start_together(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT]
    started = [subprocess.Popen([*command, str(tmp_path / f"fold_{k}")], cwd=tmp_path) for k in range(4)]
    assert [process.wait() for process in started] == [0, 0, 0, 0]
    runs = {json.loads((tmp_path / f"fold_{k}" / "mlflow_run.json").read_text())["run_id"] for k in range(4)}
    assert len(runs) == 4


def test_flatten() -> None:
    nested = {"a": {"b": 1, "c": {"d": None}}, "e": (1, 2), "f": {}, "g": True}
    assert dict(flatten(nested)) == {"a.b": "1", "a.c.d": "None", "e": "[1, 2]", "f": "{}", "g": "True"}


def test_shorten_keeps_both_ends() -> None:
    assert shorten("short") == "short"
    assert shorten("a" * 10 + "b" * 10, 9) == "aaa...bbb"


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"backend": "wandb"}, "not one of mlflow, none"),
        ({"uri": "http://me:secret@host"}, "no password"),
        ({"experiment": " "}, "must not be empty"),
        ({"url": "x"}, "unknown key"),
    ],
)
def test_wrong_settings_are_refused(mapping: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(TrackingSpec, mapping)
