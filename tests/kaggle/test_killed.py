"""Pushes and fetches, and the Kaggle they talk to, killed at random moments: done again, everything is right."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import Checkout
from kaggle_lab import Lab, wait_for

from rsna.kaggle.snapshot import take_snapshot
from rsna.local_kaggle.connection import find_server
from rsna.local_kaggle.control import launch, stop

pytestmark = pytest.mark.loop

UP = [sys.executable, "-m", "rsna.cli.app", "local-kaggle", "up", "--foreground", "--unsafe", "--user", "alice"]
LONGEST_S = 3.0  # a little more than a push takes
OUTPUT = """
import os
os.mkdir('sub')
for number in range(120):
    open(f'sub/{number:03}.bin', 'wb').write(bytes([number]) * 1_500_000)
"""


@pytest.fixture
def apart(checkout: Checkout, tmp_path: Path) -> Iterator[Checkout]:
    """The checkout with a server in a process of its own, which can be killed."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "settings.json").write_text('{"processing_seconds": 0.3}')
    checkout.lab = start_server(state)
    yield checkout
    stop(state)


def start_server(state: Path) -> Lab:
    return Lab(state, launch([*UP, "--state", str(state), "--port", "0"], state))


def kill_server(checkout: Checkout) -> None:
    os.kill(checkout.lab.connection.pid, signal.SIGKILL)
    wait_for(lambda: find_server(checkout.lab.state) is None)
    checkout.lab = start_server(checkout.lab.state)


@pytest.mark.parametrize("victim", ["push", "server"])
def test_a_push_killed_at_random_is_mended_by_the_next(apart: Checkout, victim: str, tmp_path: Path) -> None:
    moments, fetched = random.Random(victim), tmp_path / "fetched"
    for number in range(3):
        apart.commit("conf/extra.yaml", f"a: {number}\n")
        push = apart.start("kaggle", "push-code")
        time.sleep(moments.uniform(0.3, LONGEST_S))
        if victim == "server":
            kill_server(apart)
        push.kill()
        push.communicate()
        apart.rsna("kaggle", "push-code")
        apart.kaggle("datasets", "download", "alice/rsna-code", "--unzip", "-o", "-q", "-p", fetched)
        sums = {
            path: hashlib.sha256((fetched / path).read_bytes()).hexdigest() for path in take_snapshot(apart.root).files
        }
        assert sums == json.loads((fetched / "_build.json").read_text())["files"]
        assert "nothing pushed" in apart.rsna("kaggle", "push-code")


def test_a_fetch_killed_at_random_is_ended_by_the_next(apart: Checkout) -> None:
    apart.lab.run("many-files", OUTPUT)
    folder, moments = apart.output("many-files", 1), random.Random(0)
    for _ in range(3):
        fetch = apart.start("kaggle", "follow", "many-files")
        wait_for((folder / "sub").is_dir)
        time.sleep(moments.uniform(0, 0.2))
        fetch.kill()
        fetch.communicate()
        whole = [path for path in folder.glob("sub/*.bin") if not path.name.startswith(".part-")]
        assert all(path.read_bytes() == content(path) for path in whole)  # never half a file under its name
    apart.rsna("kaggle", "follow", "many-files")
    files = sorted(path for path in folder.glob("sub/*.bin") if not path.name.startswith(".part-"))
    assert len(files) == 120
    assert all(path.read_bytes() == content(path) for path in files)

    (folder / "sub" / ".part-left.bin").write_bytes(b"half")
    apart.rsna("kaggle", "publish", "many-files", "--as", "many-files-set")
    assert len(apart.lab.file_names("many-files-set")) == 120  # what a killed fetch left does not go


def content(path: Path) -> bytes:
    return bytes([int(path.stem)]) * 1_500_000
