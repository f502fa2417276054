"""What is done already, on disk: a kill at any moment costs the batch that was under way, and nothing else.

One line a record: the CRC-32 of the rest, and JSON. Lines are only ever added. The last one may be half written, and is
cut off; a line that was altered is left out, and its batch made again.
"""

from __future__ import annotations

import base64
import fcntl
import json
import logging
import os
import shutil
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from rsna.errors import RsnaError
from rsna.io import ensure_dir

logger = logging.getLogger(__name__)

RECORDS_FILE, LOCK_FILE, RUNNING_FILE, ERROR_FILE = "records", "lock", "running", "error.json"
LOCK_SECONDS = 20.0  # for the child of a parent that was killed to notice, and end


@dataclass(frozen=True, eq=False)
class Batch:
    """A planned batch that is done.

    Attributes:
        members: The names of the models that predicted it.
        tta: Their test-time augmentations.
        values: (n, M, T) float32, NaN for an image that cannot be used.
        failed: The reason for each of those, by row of the table.
        divide: By what both sides of the pictures were divided, for want of time.
    """

    members: tuple[str, ...]
    tta: tuple[str, ...]
    values: np.ndarray
    failed: dict[int, str]
    divide: int = 1


@dataclass
class Journal:
    """The journal of one job, in a folder of its own. Use it as a context manager, which holds the folder's lock.

    Attributes:
        folder: Where it lies.
        key: Of the job. A journal of another job is thrown away.
        batches: What is done, by number.
        steps: What was given up for time, in order: `step`, `batch`, `needed_s`, `left_s`.
        restarts: Of the process that predicts: `reason`, `next`.
        skipped: Images that killed it, by row, with the reason.
        notes: What else happened.
    """

    folder: Path
    key: str
    batches: dict[int, Batch] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    restarts: list[dict[str, Any]] = field(default_factory=list)
    skipped: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _offset: int = 0
    _lock: int = -1

    @property
    def path(self) -> Path:
        """The file of records."""
        return self.folder / RECORDS_FILE

    def __enter__(self) -> Journal:
        """Lock the folder and read what is there.

        Raises:
            RsnaError: Where another process works in it.
        """
        ensure_dir(self.folder)
        self._lock = os.open(self.folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
        until = time.monotonic() + LOCK_SECONDS
        while not self._try_lock():
            if time.monotonic() > until:
                os.close(self._lock)
                raise RsnaError(
                    f"another prediction writes to {self.folder.parent}; wait for it or choose another --out"
                )
            time.sleep(0.1)
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the folder; a child that lives on keeps it locked."""
        os.close(self._lock)

    def attach(self) -> Journal:
        """Go on with a journal whose lock was inherited.

        Raises:
            RsnaError: Where it is of another job: the table or the bundle was exchanged meanwhile.
        """
        if not self.path.exists() or not self._is_mine():
            raise RsnaError(f"{self.folder} is not the journal of this job any more; start again")
        self.cut()
        self.poll()
        return self

    def mark(self, row: int) -> None:
        """Say which row of the table comes next: for whoever watches this process, and finds it dead."""
        handle = os.open(self.running, os.O_WRONLY | os.O_CREAT, 0o666)
        os.pwrite(handle, b"%012d" % row, 0)  # at once and of one length: never half a number
        os.close(handle)

    @property
    def marked(self) -> int | None:
        """The row that was marked last; None where none was since the start."""
        text = self.running.read_bytes() if self.running.exists() else b""
        return int(text) if text else None

    @property
    def running(self) -> Path:
        """The file that `mark` writes."""
        return self.folder / RUNNING_FILE

    @property
    def error(self) -> Path:
        """Where a process that predicts leaves the error that ended it."""
        return self.folder / ERROR_FILE

    @property
    def lock(self) -> int:
        """The descriptor of the lock, for a child to inherit: then the folder is locked until both have ended."""
        return self._lock

    def remove(self) -> None:
        """Delete everything: the job is done."""
        shutil.rmtree(self.folder)

    def missing(self, count: int) -> list[int]:
        """Which of `count` planned batches are not done, in order."""
        return [number for number in range(count) if number not in self.batches]

    def add_batch(self, number: int, batch: Batch) -> None:
        """Record a planned batch."""
        values = np.ascontiguousarray(batch.values, np.float32)
        failed = {str(row): reason for row, reason in batch.failed.items()}
        text = base64.b64encode(values.tobytes()).decode("ascii")
        record = {"batch": number, "members": batch.members, "tta": batch.tta, "shape": values.shape, "values": text}
        self.add("batch", **record, failed=failed, divide=batch.divide)

    def add(self, kind: str, **record: Any) -> None:
        """Record anything: `step`, `restart`, `skip`, `note`."""
        content = json.dumps({"kind": kind} | record).encode("utf-8")
        with self.path.open("ab") as file:
            file.write(b"%08x %b\n" % (zlib.crc32(content), content))
        self.poll()

    def poll(self) -> bool:
        """Take in the whole lines that came since; whether there were any."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            content = file.read()
        end = content.rfind(b"\n") + 1
        self._offset += end
        for line in content[:end].splitlines():
            if not self._take(line):
                logger.warning("a line of %s was altered; what it held is made again", self.path)
        return end > 0

    def _open(self) -> None:
        """Go on with the records that are there, if they are of this job, else begin anew."""
        self.running.unlink(missing_ok=True)
        self.error.unlink(missing_ok=True)
        if self.path.exists() and not self._is_mine():
            logger.warning("%s belongs to another bundle, table or other options; it is not used", self.folder)
            self.path.unlink()
        if not self.path.exists():
            self.path.touch()
            self.add("job", key=self.key)
            return
        self.cut()
        self.poll()
        if self.batches:
            logger.info("going on from %s: %d batches are done", self.folder, len(self.batches))

    def cut(self) -> None:
        """Cut off a last line that is half written. Nobody else may be writing."""
        with self.path.open("rb+") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)

    def _is_mine(self) -> bool:
        with self.path.open("rb") as file:
            line = file.readline()
        record = _parse(line[:-1]) if line.endswith(b"\n") else None  # half a line is about to be cut off
        return record is not None and record.get("kind") == "job" and record.get("key") == self.key

    def _take(self, line: bytes) -> bool:
        record = _parse(line)
        if record is None:
            return False
        kind = record.pop("kind")
        if kind == "batch":
            self.batches[record["batch"]] = _parse_batch(record)
        elif kind == "step":
            self.steps.append(record)
        elif kind == "restart":
            self.restarts.append(record)
        elif kind == "skip":
            self.skipped[record["row"]] = record["reason"]
        elif kind == "note":
            self.notes.append(record["text"])
        return True

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _parse(line: bytes) -> dict[str, Any] | None:
    """The record of a line, None where it was altered."""
    checksum, _, content = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(content):
        return None
    return dict(json.loads(content))


def _parse_batch(record: dict[str, Any]) -> Batch:
    shape: Sequence[int] = record["shape"]
    values = np.frombuffer(base64.b64decode(record["values"]), np.float32).reshape(shape)
    failed = {int(row): reason for row, reason in record["failed"].items()}
    return Batch(tuple(record["members"]), tuple(record["tta"]), values, failed, record["divide"])
