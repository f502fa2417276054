"""The server: all parts put together on one port of the loopback interface, in this process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from rsna.errors import InputError, RsnaError
from rsna.local_kaggle.app import Api
from rsna.local_kaggle.blobs import Blobs
from rsna.local_kaggle.competitions import Competitions
from rsna.local_kaggle.connection import Connection, locked, open_account, write_connection
from rsna.local_kaggle.context import Context
from rsna.local_kaggle.dataset_creation import DatasetCreation
from rsna.local_kaggle.datasets import Datasets
from rsna.local_kaggle.execution import Runner
from rsna.local_kaggle.faults import Faults
from rsna.local_kaggle.kernel_queries import KernelQueries
from rsna.local_kaggle.kernels import Kernels
from rsna.local_kaggle.links import Links
from rsna.local_kaggle.processing import Processing
from rsna.local_kaggle.quota import Quota
from rsna.local_kaggle.scoring import Scoring
from rsna.local_kaggle.sessions import Sessions
from rsna.local_kaggle.settings import Settings, load_settings
from rsna.local_kaggle.store import Store
from rsna.local_kaggle.submissions import Submissions

HOST = "127.0.0.1"  # a constant on purpose: a server that executes notebooks is for nobody else
START_SECONDS = 20.0


class LocalKaggle:
    """One local Kaggle: the services over one state folder, and what works in the background."""

    def __init__(self, state: Path, runner: Runner, user: str, settings: Settings | None = None) -> None:
        """Put the parts together; nothing runs before `start`."""
        store = Store(state)
        account = open_account(store.folder, user)
        faults = Faults(store)
        links, blobs = Links(bytes.fromhex(account.link_key)), Blobs(store, faults)
        self.token = account.token
        self.context = Context(store, settings or load_settings(store.folder), faults, links, blobs, account.user)
        self.processing = Processing(self.context)
        self.sessions = Sessions(self.context, runner)
        self.scoring = Scoring(self.context)
        self.sessions.on_end = self.scoring.end_session
        self.api = Api(self.context, self.token, self._services())

    def _services(self) -> dict[str, dict]:
        context = self.context
        submissions = Submissions(context, self.sessions, self.scoring)
        kernels = (Kernels(context, self.sessions), KernelQueries(context), Quota(context))
        return {
            "blobs.BlobApiService": {"StartBlobUpload": context.blobs.start},
            "datasets.DatasetApiService": DatasetCreation(context, self.processing).calls() | Datasets(context).calls(),
            "kernels.KernelsApiService": {name: call for part in kernels for name, call in part.calls().items()},
            "competitions.CompetitionApiService": Competitions(context).calls() | submissions.calls(),
        }

    def start(self) -> None:
        """Take up what an earlier server has left unfinished."""
        self.processing.resume()
        self.scoring.resume()
        self.sessions.resume()

    def stop(self) -> None:
        """End what works in the background; it goes on after the next start."""
        self.processing.stop()
        self.sessions.stop()


@contextlib.contextmanager
def running(
    state: Path, runner: Runner, user: str, port: int, settings: Settings | None = None
) -> Iterator[tuple[uvicorn.Server, socket.socket, Connection]]:
    """Hold a state folder and a port, with everything started but the server's loop, and clean up behind it.

    Raises:
        InputError: Where another server holds the folder, or somebody the port.
    """
    with locked(state), _listen(port) as listener:
        kaggle = LocalKaggle(state, runner, user, settings)
        port = listener.getsockname()[1]
        connection = Connection(port, kaggle.token, kaggle.context.user, os.getpid(), runner.sandboxed)
        config = uvicorn.Config(
            kaggle.api.guarded(port),
            http="h11",  # httptools would hide where a proxy request leads
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
        )
        kaggle.start()
        try:
            write_connection(kaggle.context.store.folder, connection)
            yield uvicorn.Server(config), listener, connection
        finally:
            kaggle.stop()


def serve(state: Path, runner: Runner, user: str, port: int) -> None:
    """Run a server in the foreground until SIGINT or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # uvicorn raises it once more when its loop has ended
    with running(state, runner, user, port) as (server, listener, _):
        server.run(sockets=[listener])


@contextlib.contextmanager
def serving(
    state: Path, runner: Runner, user: str = "tester", settings: Settings | None = None
) -> Iterator[Connection]:
    """Run a server on any free port in a thread of this process, for tests."""
    with running(state, runner, user, 0, settings) as (server, listener, connection):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise RsnaError("the local Kaggle did not start")
            time.sleep(0.01)
        try:
            yield connection
        finally:
            server.should_exit = True
            thread.join()


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise InputError(f"port {port} is taken ({error.strerror}); choose another with --port") from error
    listener.listen(128)
    return listener
