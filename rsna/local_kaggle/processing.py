"""What happens to a data set version until its status is `ready`: in the background, and it takes time."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from rsna.errors import RsnaError
from rsna.local_kaggle.context import Context
from rsna.local_kaggle.files import list_files, remove_tree
from rsna.local_kaggle.unpack import Unpacker, UnpackError, safe_path

logger = logging.getLogger(__name__)

FINAL = ("READY", "FAILED")


def log_failure(future: Future[None]) -> None:
    """Log what nobody else would see: an error of a background task."""
    if not future.cancelled() and (error := future.exception()):
        logger.error("a background task failed", exc_info=error)


class Processing:
    """Turns uploads into the files of data set versions. Goes on after a restart with what was unfinished."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.store = context.store
        self.stopping = threading.Event()
        self.pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="processing")

    def resume(self) -> None:
        """Take up every version that is not final."""
        for row in self.store.rows("SELECT id FROM dataset_versions WHERE status NOT IN (?, ?) ORDER BY id", *FINAL):
            self.submit(row["id"])

    def submit(self, version: int) -> None:
        """Process a version in the background."""
        self.pool.submit(self._process, version).add_done_callback(log_failure)

    def stop(self) -> None:
        """Leave off; what is unfinished stays so."""
        self.stopping.set()
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _process(self, version: int) -> None:
        row = self.store.row("SELECT * FROM dataset_versions WHERE id = ?", version)
        if row is None or self.context.faults.take("dataset-stuck"):
            return
        try:
            self._advance(row)
        except RsnaError as error:
            self._fail(row, str(error))
        except Exception as error:  # a hostile archive must not leave a version in processing for ever
            logger.exception("processing data set version %d", version)
            self._fail(row, f"{type(error).__name__}: {error}")

    def _advance(self, row: sqlite3.Row) -> None:
        """Step by step to the final status; half of the delay lies before unpacking, half behind it."""
        final, part = self.store.dataset_folder(row["dataset"], row["number"]), self._part(row)
        pause = self.context.settings.processing_seconds / 2
        self._set(row["id"], "BLOBS_RECEIVED")
        if self.stopping.wait(pause):
            return
        self._unpack(row, part)
        self._set(row["id"], "BLOBS_DECOMPRESSED")
        if self.stopping.wait(pause):
            return
        remove_tree(final)
        part.rename(final)
        self._publish(row)

    def _unpack(self, row: sqlite3.Row, part: Path) -> None:
        settings, faults = self.context.settings, self.context.faults
        if faults.take("dataset-failed"):
            raise UnpackError("the fault dataset-failed is switched on")
        remove_tree(part)
        remove_tree(part.with_name(part.name + ".scratch"))
        unpacker = Unpacker(
            part,
            settings.unpacked_bytes,
            settings.unpacked_files,
            any_name=faults.take("unpack-any-name") is not None,
            wrap=faults.take("wrapper-folder") is not None,
        )
        try:
            for folder, token in json.loads(row["files"]):
                upload = self.context.blobs.find(token)
                unpacker.add(upload.path, str(safe_path(folder) / upload.name))
        finally:
            unpacker.close()
        for file in list_files(part):
            file.path.chmod(0o444)  # sessions read the very files

    def _publish(self, row: sqlite3.Row) -> None:
        """Make a version the current one. It is a full snapshot: nothing of older versions is in it."""
        with self.store.writing() as connection:
            connection.execute("UPDATE dataset_versions SET status = 'READY' WHERE id = ?", (row["id"],))
            if row["delete_old"]:  # their files stay for the sessions that run on them
                older = "DELETE FROM dataset_versions WHERE dataset = ? AND number < ?"
                connection.execute(older, (row["dataset"], row["number"]))
        self._discard_uploads(row)

    def _set(self, version: int, status: str) -> None:
        self.store.write("UPDATE dataset_versions SET status = ? WHERE id = ?", status, version)

    def _fail(self, row: sqlite3.Row, reason: str) -> None:
        logger.warning("data set version %d failed: %s", row["id"], reason)
        statement = "UPDATE dataset_versions SET status = 'FAILED', reason = ? WHERE id = ?"
        self.store.write(statement, reason, row["id"])
        remove_tree(self._part(row))
        self._discard_uploads(row)

    def _discard_uploads(self, row: sqlite3.Row) -> None:
        for _, token in json.loads(row["files"]):
            self.context.blobs.discard(token)

    def _part(self, row: sqlite3.Row) -> Path:
        """Where a version's files lie before it is ready."""
        final = self.store.dataset_folder(row["dataset"], row["number"])
        return final.with_name(final.name + ".part")
