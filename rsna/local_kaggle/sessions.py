"""Sessions: runs of kernel versions, queued, executed one after the other in the background, logged as Kaggle logs."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rsna.errors import RsnaError
from rsna.io import ensure_dir, read_json
from rsna.local_kaggle.context import Context
from rsna.local_kaggle.execution import LogRecord, Runner, SessionResult, SessionSpec
from rsna.local_kaggle.files import list_files, remove_links, remove_tree, total_size
from rsna.local_kaggle.mounts import Mounts
from rsna.local_kaggle.processing import log_failure

logger = logging.getLogger(__name__)

IMAGE_MODULES = ("kaggle_secrets.py",)  # what Kaggle's image has of its own, from this folder
ACTIVE = ("QUEUED", "RUNNING")
POLL_SECONDS = 0.1


class Sessions:
    """The queue. A session that a restart interrupts begins again; a session of a submission is scored after it."""

    def __init__(self, context: Context, runner: Runner) -> None:
        self.context = context
        self.store = context.store
        self.runner = runner
        self.mounts = Mounts(context)
        self.cancelled: dict[int, threading.Event] = {}
        self.stopping = False
        self.modules = ensure_dir(self.store.folder / "modules")
        for name in IMAGE_MODULES:
            shutil.copy(Path(__file__).with_name(name), self.modules)
        self.on_end: Callable[[sqlite3.Row], None] = lambda session: None
        workers = context.settings.parallel_sessions
        self.pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="session")

    def resume(self) -> None:
        """Queue what a stop of the server has interrupted."""
        for row in self.store.rows("SELECT id FROM sessions WHERE status IN (?, ?) ORDER BY id", *ACTIVE):
            self.submit(row["id"])

    def submit(self, session: int) -> None:
        """Run a session that the database knows, when its turn has come."""
        self.cancelled[session] = threading.Event()
        self.store.write("UPDATE sessions SET status = 'QUEUED' WHERE id = ?", session)
        self.pool.submit(self._run, session).add_done_callback(log_failure)

    def forget(self, kernel: int) -> None:
        """End the sessions of a kernel, which is about to be deleted, and delete what they left."""
        for row in self.store.rows("SELECT id FROM sessions WHERE kernel = ?", kernel):
            if event := self.cancelled.get(row["id"]):
                event.set()
            else:
                remove_tree(self.store.session_folder(row["id"]))

    def stop(self) -> None:
        """Leave off; what is unfinished begins again after the next start."""
        self.stopping = True
        for event in list(self.cancelled.values()):
            event.set()
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, session: int) -> None:
        cancelled = self.cancelled[session]
        while self.context.faults.take("session-stuck") and not cancelled.wait(POLL_SECONDS):
            pass
        row = self.store.row("SELECT * FROM sessions WHERE id = ?", session)
        if row is not None and not cancelled.is_set():
            self.store.write("UPDATE sessions SET status = 'RUNNING', started = ? WHERE id = ?", time.time(), session)
            result = self._execute(row, cancelled)
            if not cancelled.is_set():
                self._finish(session, result)
        self.cancelled.pop(session)
        if cancelled.is_set() and not self.stopping:
            remove_tree(self.store.session_folder(session))

    def _execute(self, row: sqlite3.Row, cancelled: threading.Event) -> SessionResult:
        folder = self.store.session_folder(row["id"])
        remove_tree(folder)
        try:
            if self.context.faults.take("session-failed"):
                raise RsnaError("the fault session-failed is switched on")
            spec = self._spec(row, ensure_dir(folder / "scratch"), ensure_dir(folder / "working"))
            with (folder / "log.jsonl").open("a", encoding="utf-8", buffering=1) as log:
                return self.runner.run(spec, lambda record: _write(log, record), cancelled)
        except RsnaError as error:
            return SessionResult("error", str(error))
        except Exception as error:  # a broken runner must not leave the session running for ever
            logger.exception("session %d", row["id"])
            return SessionResult("error", f"{type(error).__name__}: {error}")
        finally:
            remove_tree(folder / "scratch")

    def _spec(self, row: sqlite3.Row, scratch: Path, working: Path) -> SessionSpec:
        request, settings = json.loads(row["request"]), self.context.settings
        rerun = row["submission"] is not None
        limit = settings.rerun_seconds if rerun else settings.session_seconds
        return SessionSpec(
            name=f"{request['slug']} v{row['number']}{' (scoring rerun)' if rerun else ''}",
            source=request["text"],
            type=request["kernelType"],
            language=request["language"],
            mounts=self.mounts.of(request, self._competition(row["submission"])),
            working=working,
            scratch=scratch,
            modules=self.modules,
            environment=self._environment(rerun),
            internet=request["enableInternet"],
            gpu=request["gpu"],
            docker_image=request.get("dockerImage") or "",
            seconds=min(limit, request.get("sessionTimeoutSeconds") or limit),
            memory_bytes=settings.memory_bytes,
            working_bytes=settings.working_bytes,
        )

    def _competition(self, submission: int | None) -> str:
        row = self.store.row("SELECT competition FROM submissions WHERE id = ?", submission)
        return row["competition"] if row else ""

    def _environment(self, rerun: bool) -> dict[str, str]:
        secrets = self.store.folder / "kaggle-secrets.json"
        kept = secrets.exists() and self.context.faults.take("secrets-kept")
        return {
            "KAGGLE_KERNEL_RUN_TYPE": "Batch",
            "LOCAL_KAGGLE_SECRETS": json.dumps(read_json(secrets) if kept else {}),
            **({"KAGGLE_IS_COMPETITION_RERUN": "1"} if rerun else {}),
        }

    def _finish(self, session: int, result: SessionResult) -> None:
        """Keep what a finished run leaves, as Kaggle does: nothing of one that ran out of time."""
        working = self.store.working_folder(session)
        remove_links(working)
        size = total_size(list_files(working))
        if result.outcome == "complete" and size > self.context.settings.working_bytes:
            result = SessionResult("out-of-disk", f"the output has {size} bytes", result.seconds, result.sandboxed)
        if result.outcome == "timeout" or self.context.faults.take("output-lost"):
            remove_tree(working)
        status = "COMPLETE" if result.outcome == "complete" else "ERROR"
        statement = "UPDATE sessions SET status = ?, outcome = ?, reason = ?, ended = ?, report = ? WHERE id = ?"
        report = json.dumps(asdict(result))
        self.store.write(statement, status, result.outcome, result.message, time.time(), report, session)
        logger.info("session %d: %s in %.1f s %s", session, result.outcome, result.seconds, result.message)
        row = self.store.row("SELECT * FROM sessions WHERE id = ?", session)
        if row is not None:
            self.on_end(row)


def read_log(folder: Path) -> str:
    """The log of a session's folder in Kaggle's form: a JSON array with one record in every line."""
    path = folder / "log.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return "[" + "\n,".join(lines) + "\n]" if lines else ""


def _write(log: Any, record: LogRecord) -> None:
    log.write(json.dumps(asdict(record)) + "\n")
