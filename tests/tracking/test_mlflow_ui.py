"""Local runs in plain `mlflow ui`, asked through its REST interface and looked at with a browser."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd
import pytest

from rsna.config.tracking import TrackingSpec
from rsna.plots import write_run_plots
from rsna.tracking import Tracker

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START_SECONDS = 120


@dataclass(frozen=True)
class Ui:
    """A running `mlflow ui` and the run that it should show."""

    url: str
    run_id: str
    run_dir: Path

    def get(self, place: str, **query: str) -> bytes:
        with urlopen(f"{self.url}{place}?{urlencode(query)}", timeout=30) as answer:
            return bytes(answer.read())

    def search(self) -> list[dict[str, Any]]:
        experiment = json.loads(self.get("/api/2.0/mlflow/experiments/get-by-name", experiment_name="breast"))
        body = json.dumps({"experiment_ids": [experiment["experiment"]["experiment_id"]]}).encode()
        request = Request(f"{self.url}/api/2.0/mlflow/runs/search", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=30) as answer:
            return list(json.loads(answer.read())["runs"])


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """A project with one tracked run, and plain `mlflow ui` started in its root."""
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        run_dir = root / "runs" / "baseline" / "fold_0"
        run_id = track(run_dir)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [str(Path(sys.executable).with_name("mlflow")), "ui", "--port", str(port)]
        with (root / "ui.log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server)
            yield Ui(f"http://127.0.0.1:{port}", run_id, run_dir)
        finally:
            server.terminate()
            server.wait(60)


def track(run_dir: Path) -> str:
    """A run as training leaves it."""
    generator = np.random.default_rng(0)
    target = np.arange(60) % 6 == 0
    ids = [f"{i}_L" for i in range(60)]
    units = pd.DataFrame({"prediction_id": ids, "target_cancer": target, "pred_cancer": generator.random(60)})
    history = pd.DataFrame({"epoch": [0, 1], "train/loss": [0.7, 0.5], "lr": [1e-3, 1e-4], "unit/auc": [0.5, 0.6]})
    pictures = {i: [generator.integers(0, 255, (64, 32), np.uint8)] for i in ids}
    spec = TrackingSpec(experiment="breast", uri=f"sqlite:///{Path('mlflow.db').absolute()}")  # MLflow caches by URI
    with Tracker(spec, "baseline/fold_0", run_dir) as tracker:
        tracker.log_config({"model": {"backbone": "resnet18"}})
        for row in history.to_dict("records"):
            tracker.log_metrics({str(k): v for k, v in row.items() if k != "epoch"}, int(row["epoch"]))
        for path in write_run_plots(run_dir, history, units, None, pictures):
            tracker.log_artifact(path, "plots")
        return tracker.run_id


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, "mlflow ui ended"
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    raise TimeoutError(f"mlflow ui did not answer within {START_SECONDS} s")


def test_the_run_is_listed(ui: Ui) -> None:
    (run,) = ui.search()
    assert run["info"]["run_id"] == ui.run_id
    assert run["info"]["run_name"] == "baseline/fold_0"
    assert run["info"]["status"] == "FINISHED"
    assert {"key": "model.backbone", "value": "resnet18"} in run["data"]["params"]
    assert {m["key"]: m["value"] for m in run["data"]["metrics"]}["unit/auc"] == 0.6


def test_its_artifacts_open(ui: Ui) -> None:
    listed = json.loads(ui.get("/api/2.0/mlflow/artifacts/list", run_id=ui.run_id, path="plots"))
    paths = [file["path"] for file in listed["files"]]
    assert sorted(paths) == sorted(f"plots/{path.name}" for path in (ui.run_dir / "plots").iterdir())
    for path in paths:
        assert ui.get("/get-artifact", run_id=ui.run_id, path=path) == (ui.run_dir / path).read_bytes()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("page", ["", "/runs/{run_id}/artifacts/plots/loss.png"])
def test_a_browser_shows_it(ui: Ui, page: str, tmp_path: Path) -> None:
    (run,) = ui.search()
    address = f"{ui.url}/#/experiments/{run['info']['experiment_id']}{page.format(run_id=ui.run_id)}"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=30000"]
    command = [str(CHROMIUM), *options, f"--user-data-dir={tmp_path}", "--dump-dom"]
    done = subprocess.run([*command, f"{address}?workflowType=machine_learning"], capture_output=True, timeout=180)
    text = done.stdout.decode()
    assert "baseline/fold_0" in text
    assert not page or "loss.png" in text
