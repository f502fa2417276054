"""A storage emulator, runs as a kernel writes them, and a project folder to pull them into."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mirror_helpers import FakeBucket, Kernel, free_port

from rsna.tracking import mirror, run_files
from rsna.tracking.storage import BucketFolder, runs_folder


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The address of gcp-storage-emulator on loopback."""
    port = free_port()
    server = pytest.importorskip("gcp_storage_emulator.server").create_server("127.0.0.1", port, in_memory=True)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def bucket(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket of the emulator, as google-cloud-storage sees it."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    from google.cloud import storage

    return storage.Client(project="test").create_bucket(f"runs-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def target(bucket: Any) -> BucketFolder:
    """Where runs are pushed to and pulled from."""
    return runs_folder(bucket.name, "team/rsna")


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the code waits for comes sooner."""
    monkeypatch.setattr(run_files, "SETTLE_S", 0.0)
    monkeypatch.setattr(mirror, "LAST_PAUSE_S", 0.05)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """A kernel, as long as its working folder is where it was."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return Kernel(tmp_path / "kaggle" / "working")


@pytest.fixture
def moved(kernel: Kernel, tmp_path: Path) -> Callable[[], Path]:
    """Take the kernel's output elsewhere, so that the paths that it wrote down lead nowhere."""

    def move() -> Path:
        output = tmp_path / "outputs" / "rsna-train"
        shutil.move(kernel.store.parent, output)
        return output

    return move


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An `mlflow.db` without runs; making one takes seconds."""
    from rsna.tracking.store import open_client

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    open_client(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def root(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project folder into which is pulled; its name needs quoting in a URI."""
    folder = tmp_path / "my projéct #1 100%"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.fixture
def client(root: Path) -> Any:
    """MLflow's own client on the project's database."""
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{root / 'mlflow.db'}")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBucket]:
    """A lying bucket, of any name, at the address that google-cloud-storage asks."""
    bucket = FakeBucket()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{bucket.server.server_port}")
    yield bucket
    bucket.server.shutdown()
    bucket.server.server_close()
