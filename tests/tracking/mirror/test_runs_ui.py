"""Pulled runs in MLflow's own pages: plain `mlflow ui`, asked over HTTP and looked at in a browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from mirror_helpers import Kernel, free_port, picture

from rsna.config.tracking import TrackingSpec
from rsna.tracking import Tracker
from rsna.tracking.mirror import push_runs
from rsna.tracking.pull import pull_runs
from rsna.tracking.storage import BucketFolder

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def ask(address: str, path: str, body: Any = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(address + path, data, {"Content-Type": "application/json"}), timeout=30) as answer:
        return bytes(answer.read())


@pytest.fixture
def opened(root: Path) -> Iterator[Callable[..., str]]:
    """Open MLflow's pages in the project's root by a command, and return their address."""
    started = []

    def start(*command: str) -> str:
        port = free_port()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        line = [*command, "--port", str(port)]
        started.append(subprocess.Popen(line, cwd=root, env=environment, start_new_session=True))
        address = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 120
        while time.monotonic() < end and started[-1].poll() is None:
            try:
                if ask(address, "/health") == b"OK":
                    return address
            except (URLError, OSError):
                time.sleep(0.5)
        pytest.fail(f"{command} did not open, exit status {started[-1].poll()}")

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGTERM)  # its workers too
        process.wait(30)


@pytest.fixture
def runs(kernel: Kernel, target: BucketFolder, moved: Callable[[], Path], root: Path, tmp_path: Path) -> dict[str, str]:
    """A run of this machine, one pulled from the bucket, one from a kernel's output; by name."""
    here = TrackingSpec(experiment="breast", uri=f"sqlite:///{root / 'mlflow.db'}")
    with Tracker(here, "recorded-here", tmp_path / "run") as tracker:
        pass
    pushed = kernel.run("pushed-by-a-kernel")
    push_runs(kernel.store, target)
    fetched = kernel.run("left-in-an-output")
    pull_runs(target, [moved()])
    return {"recorded-here": tracker.run_id, "pushed-by-a-kernel": pushed, "left-in-an-output": fetched}


def mlflow_ui() -> list[str]:
    return [str(Path(sys.executable).with_name("mlflow")), "ui"]


def rsna_runs_ui() -> list[str]:
    return [sys.executable, "-m", "rsna.cli.app", "runs", "ui"]


@pytest.mark.parametrize("command", [mlflow_ui, rsna_runs_ui])
def test_the_pages_serve_local_and_pulled_runs(
    command: Callable[[], list[str]], opened: Callable[..., str], runs: dict[str, str]
) -> None:
    address = opened(*command())
    found = json.loads(ask(address, "/api/2.0/mlflow/experiments/get-by-name?experiment_name=breast"))
    number = found["experiment"]["experiment_id"]
    listed = json.loads(ask(address, "/api/2.0/mlflow/runs/search", {"experiment_ids": [number]}))["runs"]
    assert {run["info"]["run_name"]: run["info"]["run_id"] for run in listed} == runs
    for name in ("pushed-by-a-kernel", "left-in-an-output"):
        assert ask(address, f"/get-artifact?path=plots/loss.png&run_uuid={runs[name]}") == picture()


def count_pixels(screenshot: Path, rgb: tuple[int, int, int]) -> int:
    import cv2
    import numpy as np

    pixels = cv2.imread(str(screenshot))
    assert pixels is not None
    return int(np.all(pixels == rgb[::-1], axis=-1).sum())


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_a_browser_shows_a_pulled_run_with_its_plot(
    opened: Callable[..., str], runs: dict[str, str], client: Any, tmp_path: Path
) -> None:
    address = opened(*mlflow_ui())
    number = client.get_experiment_by_name("breast").experiment_id
    browser = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    browser += ["--window-size=1600,1200", "--virtual-time-budget=30000"]

    table = f"{address}/#/experiments/{number}/runs"
    page = subprocess.run([*browser, "--dump-dom", table], capture_output=True, text=True, timeout=120, check=True)
    for name in runs:
        assert name in page.stdout

    shot = tmp_path / "shot.png"
    plot = f"{address}/#/experiments/{number}/runs/{runs['pushed-by-a-kernel']}/artifacts/{quote('plots/loss.png')}"
    subprocess.run([*browser, f"--screenshot={shot}", plot], capture_output=True, timeout=120, check=True)
    assert count_pixels(shot, (255, 0, 255)) >= 64 * 64
