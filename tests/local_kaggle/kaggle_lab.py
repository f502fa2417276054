"""What tests do to a local Kaggle: the unmodified `kaggle` command, and plain HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from rsna.local_kaggle.client_env import client_environment
from rsna.local_kaggle.connection import Connection
from rsna.local_kaggle.faults import Faults
from rsna.local_kaggle.plain_runner import PlainRunner
from rsna.local_kaggle.server import serving
from rsna.local_kaggle.settings import Settings
from rsna.local_kaggle.store import Store

KAGGLE = Path(sys.executable).with_name("kaggle")
SETTINGS = Settings(processing_seconds=0.05, parallel_sessions=2, submissions_per_day=100)
SERVICES = {
    "Dataset": "datasets.DatasetApiService",
    "Kernel": "kernels.KernelsApiService",
    "Blob": "blobs.BlobApiService",
    "Compet": "competitions.CompetitionApiService",
    "Submission": "competitions.CompetitionApiService",
    "Leaderboard": "competitions.CompetitionApiService",
    "DataFile": "competitions.CompetitionApiService",
}


@dataclass
class Lab:
    """A running server with what tests do to it."""

    state: Path
    connection: Connection

    @property
    def store(self) -> Store:
        return Store(self.state)

    @property
    def faults(self) -> Faults:
        return Faults(self.store)

    def http(self, **headers: str) -> httpx.Client:
        """A plain client with the token."""
        given = {"Authorization": f"Bearer {self.connection.token}", **headers}
        return httpx.Client(base_url=self.connection.url, headers=given, trust_env=False)

    def post(self, method: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """One call of the API."""
        service = next(service for word, service in SERVICES.items() if word in method)
        with self.http() as client:
            return client.post(f"/api/v1/{service}/{method}", json=body or {})

    def call(self, method: str, body: dict[str, Any] | None = None) -> Any:
        """The answer of a call that must succeed."""
        response = self.post(method, body)
        assert response.status_code == 200, response.text
        return response.json()

    def upload(self, name: str, content: bytes) -> str:
        """Upload a file; returns its token."""
        started = self.call("StartBlobUpload", {"type": "DATASET", "name": name, "contentLength": len(content)})
        with httpx.Client(trust_env=False) as client:
            assert client.put(started["createUrl"], content=content).status_code == 200
        return started["token"]

    def create_dataset(self, slug: str, files: dict[str, bytes], **fields: Any) -> dict[str, Any]:
        """Make a data set of alice's and wait until it is ready or has failed; returns its latest version."""
        tokens = [{"token": self.upload(name, content)} for name, content in files.items()]
        body = {"ownerSlug": "alice", "slug": slug, "title": slug.replace("-", " "), "isPrivate": True, **fields}
        answer = self.call("CreateDataset", {**body, "files": tokens})
        assert answer["status"] == "ok", answer
        return self.wait_dataset(slug)

    def wait_dataset(self, slug: str) -> dict[str, Any]:
        names = {"ownerSlug": "alice", "datasetSlug": slug}
        wait_for(lambda: self.call("GetDatasetStatus", names)["status"] in ("READY", "FAILED"))
        return self.call("GetDataset", names)["versions"][0]

    def file_names(self, slug: str) -> list[str]:
        names = {"ownerSlug": "alice", "datasetSlug": slug, "pageSize": 200}
        return [file["name"] for file in self.call("ListDatasetFiles", names)["datasetFiles"]]

    def push(self, slug: str, text: str, **fields: Any) -> dict[str, Any]:
        """Push a script; returns the answer."""
        body = {"slug": f"alice/{slug}", "newTitle": slug, "text": text, "language": "python", "kernelType": "script"}
        return self.call("SaveKernel", {**body, "enableInternet": False, "isPrivate": True, **fields})

    def run(self, slug: str, text: str, **fields: Any) -> dict[str, Any]:
        """Push a script and wait until it has ended; returns its status."""
        answer = self.push(slug, text, **fields)
        assert not answer.get("error"), answer
        return self.wait_kernel(slug)

    def wait_kernel(self, slug: str, label: str = "") -> dict[str, Any]:
        names = {"userName": "alice", "kernelSlug": slug, "versionLabel": label}
        wait_for(lambda: self.call("GetKernelSessionStatus", names)["status"] not in ("QUEUED", "RUNNING"))
        return self.call("GetKernelSessionStatus", names)

    def log(self, slug: str) -> str:
        answer = self.call("ListKernelSessionOutput", {"userName": "alice", "kernelSlug": slug})
        return "".join(record["data"] for record in json.loads(answer["log"] or "[]"))

    def kaggle(self, *arguments: str | Path, status: int = 0) -> str:
        """Run the unmodified command, which must exit with `status`; returns both of its streams."""
        env = client_environment(self.connection, self.state, os.environ)
        command = [str(KAGGLE), *map(str, arguments)]
        done = subprocess.run(command, env=env, cwd=self.state, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server for the tests of a module."""
    state = tmp_path_factory.mktemp("kaggle") / "state"
    with serving(state, PlainRunner(), "alice", SETTINGS) as connection:
        yield Lab(state, connection)


@pytest.fixture
def lab(server: Lab) -> Iterator[Lab]:
    """The module's server, without the faults of earlier tests."""
    server.faults.switch_off()
    yield server
    server.faults.switch_off()
