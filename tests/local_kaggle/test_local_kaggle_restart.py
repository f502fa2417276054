"""What a kill of the server, or of the client, at a bad moment leaves: nothing lost, and everything goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from kaggle_lab import KAGGLE, Lab, wait_for

from rsna.local_kaggle.client_env import client_environment
from rsna.local_kaggle.connection import find_server
from rsna.local_kaggle.control import launch, stop

DATA = bytes(range(256)) * 40
UP = [sys.executable, "-m", "rsna.cli.app", "local-kaggle", "up", "--foreground", "--unsafe", "--user", "alice"]
Launch = Callable[[], Lab]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Launch]:
    """Starts a server in a process of its own; always over the same state folder."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "settings.json").write_text('{"processing_seconds": 0.2}')
    yield lambda: Lab(state, launch([*UP, "--state", str(state), "--port", "0"], state))
    stop(state)


def kill(lab: Lab) -> None:
    """End the server without a chance to clean up."""
    os.kill(lab.connection.pid, signal.SIGKILL)
    wait_for(lambda: find_server(lab.state) is None)


def test_state_survives_a_kill_and_uploads_resume(start: Launch) -> None:
    lab = start()
    lab.create_dataset("kept-set", {"a.txt": b"a"})
    upload = lab.call("StartBlobUpload", {"name": "b.bin", "contentLength": len(DATA)})
    with lab.http() as client:
        part = client.put(upload["createUrl"], content=DATA[:100], headers={"Content-Range": f"bytes 0-99/{len(DATA)}"})
        assert part.status_code == 308
    processed = lab.upload("c.txt", b"c")
    files = {"ownerSlug": "alice", "datasetSlug": "kept-set", "body": {"files": [{"token": processed}]}}
    lab.call("CreateDatasetVersion", files)  # killed while it is processed
    kill(lab)

    again = start()
    assert again.connection.token == lab.connection.token
    assert again.wait_dataset("kept-set")["versionNumber"] == 2
    assert again.file_names("kept-set") == ["c.txt"]
    address = f"{again.connection.url}/upload/{upload['token']}"
    with httpx.Client(trust_env=False) as client:
        state = client.put(address, headers={"Content-Range": f"bytes */{len(DATA)}"})
        assert state.headers["range"] == "bytes=0-99"
        rest = {"Content-Range": f"bytes 100-{len(DATA) - 1}/{len(DATA)}"}
        assert client.put(address, content=DATA[100:], headers=rest).status_code == 200
    names = {"ownerSlug": "alice", "slug": "resumed-set", "title": "resumed set"}
    again.call("CreateDataset", {**names, "files": [{"token": upload["token"]}]})
    again.wait_dataset("resumed-set")
    assert again.file_names("resumed-set") == ["b.bin"]


@pytest.mark.parametrize("end", [kill, lambda lab: stop(lab.state)])
def test_an_interrupted_session_begins_again(start: Launch, end: Callable[[Lab], None], tmp_path: Path) -> None:
    """Killed with the server or stopped with it; the first run's process is gone, its output too."""
    mark = tmp_path / "ran-once"
    text = f"""
import os, time
open(f'out-{{os.getpid()}}.txt', 'w').close()
if not os.path.exists({str(mark)!r}):
    open({str(mark)!r}, 'w').write(str(os.getpid()))
    time.sleep(600)
"""
    lab = start()
    lab.push("interrupted", text)
    wait_for(lambda: mark.exists() and mark.read_text() != "")
    end(lab)
    again = start()
    assert again.wait_kernel("interrupted")["status"] == "COMPLETE"
    files = again.call("ListKernelFiles", {"userName": "alice", "kernelSlug": "interrupted"})["files"]
    assert len(files) == 1
    if end is kill:  # nobody was left to end it
        os.kill(int(mark.read_text()), signal.SIGKILL)
    else:
        with pytest.raises(ProcessLookupError):
            os.kill(int(mark.read_text()), 0)


@pytest.mark.loop
def test_a_killed_client_resumes(start: Launch, tmp_path: Path) -> None:
    """Started again, the unmodified client goes on where it was killed."""
    lab = start()
    folder, size = tmp_path / "data", 300 * 1024 * 1024
    folder.mkdir()
    with (folder / "big.bin").open("wb") as file:
        file.truncate(size)
    metadata = '{"title": "killed client", "id": "alice/killed-client", "licenses": [{"name": "CC0-1.0"}]}'
    (folder / "dataset-metadata.json").write_text(metadata)
    env = client_environment(lab.connection, lab.state, os.environ)
    client = subprocess.Popen([KAGGLE, "datasets", "create", "-q", "-p", folder], env=env, cwd=tmp_path)

    def sizes() -> list[int]:
        return [path.stat().st_size for path in (lab.state / "uploads").iterdir()]

    wait_for(lambda: any(sizes()))
    client.kill()
    client.wait()
    assert 0 < sum(sizes()) < size
    assert "Already uploaded" in lab.kaggle("datasets", "create", "-p", folder)
    lab.wait_dataset("killed-client")
    names = {"ownerSlug": "alice", "datasetSlug": "killed-client"}
    assert lab.call("ListDatasetFiles", names)["datasetFiles"][0]["totalBytes"] == size
