"""Starting, finding and stopping the server of a state folder from another process."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from rsna.errors import InputError, RsnaError
from rsna.io import ensure_dir
from rsna.local_kaggle.connection import Connection, find_server

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05


def launch(command: Sequence[str], state: Path) -> Connection:
    """Start a server in the background and wait until it answers.

    Args:
        command: That serves `state` in its foreground.
        state: Its output goes to `server.log` there.

    Raises:
        InputError: Where a server already runs there.
        RsnaError: Where it ends or does not answer; with its last word.
    """
    if find_server(ensure_dir(state)):
        raise InputError(f"a local Kaggle is already running on {state}; `rsna local-kaggle down` stops it")
    log_path = state / "server.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True
        )
    deadline = time.monotonic() + START_SECONDS
    while (connection := find_server(state)) is None or connection.pid != process.pid:
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()
            raise RsnaError(
                f"the local Kaggle did not start; {log_path} ends with: {lines[-1] if lines else 'nothing'}"
            )
        time.sleep(POLL_SECONDS)
    return connection


def stop(state: Path) -> bool:
    """Stop the server of a state folder, and wait until it has ended; False where none runs."""
    connection = find_server(state)
    if connection is None:
        return False
    os.kill(connection.pid, signal.SIGTERM)  # the lock that it holds says that this is still its process
    deadline = time.monotonic() + STOP_SECONDS
    while find_server(state):
        if time.monotonic() > deadline:
            raise RsnaError(f"the local Kaggle (process {connection.pid}) has not ended in {STOP_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
    return True


def need_server(state: Path) -> Connection:
    """The running server of a state folder, or `InputError`."""
    connection = find_server(state)
    if connection is None:
        raise InputError(f"no local Kaggle is running on {state}; start one with `rsna local-kaggle up`")
    return connection
