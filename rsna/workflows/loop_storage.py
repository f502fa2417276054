"""A bucket for rehearsals: gcp-storage-emulator on this machine, with its files in a folder."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

from rsna.io import ensure_dir, read_text, write_text

BUCKET = "rehearsal"  # where the settings name none
HOST = "127.0.0.1"


def has_emulator() -> bool:
    """Whether the emulator is installed, and the client for it."""
    try:
        return all(importlib.util.find_spec(name) for name in ("gcp_storage_emulator", "google.cloud.storage"))
    except ModuleNotFoundError:  # of the client's parents
        return False


@contextlib.contextmanager
def storage_emulator(folder: Path, bucket: str) -> Iterator[str]:
    """Run the emulator in a thread; yields its address. What it holds stays in the folder, which is absolute."""
    from gcp_storage_emulator.server import create_server  # type: ignore[import-untyped]

    logging.getLogger("gcp_storage_emulator").setLevel(logging.WARNING)
    port = _choose_port(ensure_dir(folder) / "port")
    server = create_server(HOST, port, in_memory=False, default_bucket=bucket, data_dir=str(folder))
    server.start()
    try:
        yield f"http://{HOST}:{port}"
    finally:
        server.stop()


def _choose_port(memory: Path) -> int:
    """The same port as the last time: a training that outlived an interrupted rehearsal still sends its runs there."""
    port = _free_port(int(read_text(memory))) if memory.exists() else 0
    port = port or _free_port(0)
    write_text(memory, str(port))
    return port


def _free_port(wanted: int) -> int:
    """A port that nobody listens on: the wanted one, or any for 0. 0 where the wanted one is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            return 0
        return int(probe.getsockname()[1])
