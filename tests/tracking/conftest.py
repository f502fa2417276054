"""A project folder with an MLflow database, made once: creating one takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rsna.config.tracking import TrackingSpec
from rsna.tracking import Tracker


@pytest.fixture(scope="session")
def database_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name needs quoting in a URI."""
    return tmp_path_factory.mktemp("my projéct #1 100%")


@pytest.fixture
def project(database_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder during the test; its `mlflow.db` is shared, so each test takes an experiment of its own."""
    monkeypatch.chdir(database_root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return database_root


@pytest.fixture
def client(project: Path) -> Any:
    """MLflow's own client on the project's database."""
    with Tracker(TrackingSpec(experiment="opened"), "opened", project / "runs" / "opened"):
        pass
    from mlflow import MlflowClient

    return MlflowClient("sqlite:///mlflow.db")
