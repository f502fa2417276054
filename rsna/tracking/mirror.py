"""Runs on their way to a bucket: once, or again and again while a training goes on."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rsna.errors import InputError, RsnaError
from rsna.log import progress
from rsna.tracking.run_files import Stamp, batches, find_stores, list_files, read_stamp, snapshot, until_settled
from rsna.tracking.storage import BucketFolder, RemoteFile, crc32c_file, runs_folder
from rsna.tracking.store import first_line

logger = logging.getLogger(__name__)

FIRST_S = 10.0
LAST_TRIES = 3
LAST_PAUSE_S = 5.0
LAST_PATIENCE_S = 600.0  # a training that is over waits no longer for a network that is gone


@dataclass
class PushReport:
    """What a push did.

    Attributes:
        sent: Files that were uploaded.
        waiting: Files that somebody is still writing.
    """

    sent: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


class Pusher:
    """Brings a folder of a bucket up to date with a file store, and remembers what is there already.

    Args:
        folder: The file store.
        target: The bucket's folder.
    """

    def __init__(self, folder: Path, target: BucketFolder) -> None:
        self.folder = folder
        self.target = target
        self._there: dict[str, Stamp] = {}  # files that the bucket has, in this state

    def push(self, bar: bool = False) -> PushReport:
        """Upload what the bucket has not, or not with these bytes. Only whole files are sent; nothing is deleted.

        Args:
            bar: Whether to show a progress bar.

        Raises:
            RsnaError: A file cannot be read, or did not arrive. What did arrive need not go again.
        """
        report = PushReport()
        try:
            parts = list(batches(self._missing()))
            for part in progress(parts, f"pushing to {self.target}") if bar else parts:
                self._send(part, report)
        except OSError as error:
            raise RsnaError(f"cannot push {self.folder}: {first_line(error)}") from error
        return report

    def _missing(self) -> Iterable[tuple[str, int]]:
        """Name and bytes of the files that the bucket has not. Where nothing has changed, the bucket is not asked."""
        found = {name: read_stamp(self.folder / name) for name in list_files(self.folder)}
        changed = {name: stamp for name, stamp in found.items() if stamp and stamp != self._there.get(name)}
        remote = self.target.list() if changed else {}
        return [(name, stamp[0]) for name, stamp in changed.items() if not self._is_there(name, stamp, remote)]

    def _is_there(self, name: str, stamp: Stamp, remote: Mapping[str, RemoteFile]) -> bool:
        path = self.folder / name
        there = remote.get(name)
        same = there is not None and there.size == stamp[0] and there.crc32c == crc32c_file(path)
        if same and read_stamp(path) == stamp:
            self._there[name] = stamp
        return same

    def _send(self, names: Iterable[str], report: PushReport) -> None:
        copies: dict[str, Path] = {}
        stamps: dict[str, Stamp] = {}
        with tempfile.TemporaryDirectory() as aside:
            for number, name in enumerate(names):
                copy = Path(aside, f"{number}{Path(name).suffix}")  # the suffix tells the content type
                stamp = snapshot(self.folder, name, copy)
                if stamp is None:
                    report.waiting.append(name)
                else:
                    copies[name], stamps[name] = copy, stamp
            failed = self.target.upload(copies)
        sent = {name: stamp for name, stamp in stamps.items() if name not in failed}
        self._there |= sent
        report.sent += sent
        if failed:
            name, reason = next(iter(failed.items()))
            raise RsnaError(f"{len(failed)} files did not reach {self.target}, such as {name}: {reason}; push again")


def push_runs(folder: Path, target: BucketFolder) -> PushReport:
    """Push a file store once, with a progress bar, waiting a few seconds for files that are being written.

    Raises:
        InputError: The folder is no file store.
        RsnaError: As of `Pusher.push`.
    """
    if find_stores(folder) != [folder]:
        raise InputError(f"{folder} is no folder of MLflow runs (<experiment>/meta.yaml); name the one to push")
    pusher, report = Pusher(folder, target), PushReport()

    def step() -> list[str]:
        last = pusher.push(bar=True)
        report.sent += last.sent
        return last.waiting

    report.waiting = list(until_settled(step))
    return report


class Mirror:
    """A context manager that pushes a file store every `every` seconds in the background, and once more at its end.

    Nothing that happens to it reaches the block: a bucket that refuses, a network that is gone, a wrong key are logged
    and tried again. The runs are in the folder anyway.

    Args:
        folder: The file store, which need not exist yet.
        bucket: The bucket.
        prefix: The folder in the bucket below which `mlruns` lies.
        credentials: As of `storage_client`.
        every: Seconds between two pushes; the first comes sooner, so that a wrong key is known soon.
    """

    def __init__(
        self,
        folder: Path,
        bucket: str,
        prefix: str,
        credentials: Path | Mapping[str, Any] | None = None,
        every: float = 60.0,
    ) -> None:
        self.folder = folder
        self.every = every
        self._place = (bucket, prefix, credentials)
        self._pusher: Pusher | None = None
        self._over = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)  # must not hold up an exit

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(LAST_PATIENCE_S)
        if self._thread.is_alive():
            logger.warning("gs://%s does not take the last runs; they stay in %s", self._place[0], self.folder)

    def _run(self) -> None:
        pause = min(FIRST_S, self.every)
        while not self._over.wait(pause):
            self._push()
            pause = self.every
        for _ in range(LAST_TRIES):
            if self._push():
                return
            time.sleep(LAST_PAUSE_S)

    def _push(self) -> bool:
        """Push once; whether the bucket now has everything."""
        try:
            self._pusher = self._pusher or Pusher(self.folder, runs_folder(*self._place))
            waiting = self._pusher.push().waiting
        except RsnaError as error:
            self._tell(f"the runs are not mirrored: {error}")
            return False
        self._tell("")
        return not waiting

    def _tell(self, trouble: str) -> None:
        """Log a trouble when it begins and when it is over, not every minute between."""
        if trouble and trouble != self._trouble:
            logger.warning(trouble)
        elif self._trouble and not trouble:
            logger.info("the runs are mirrored again")
        self._trouble = trouble
