"""What tests do to the sandboxed runner: sessions of a few lines, without a server."""

from __future__ import annotations

import functools
import json
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import rsna.local_kaggle
from rsna.local_kaggle.execution import LogRecord, SessionResult, SessionSpec
from rsna.local_kaggle.probe import why_no_sandbox
from rsna.local_kaggle.profile import load_profile
from rsna.local_kaggle.sandboxed_runner import SandboxedRunner

MB = 2**20


@functools.cache
def _runner() -> tuple[SandboxedRunner, str]:
    runner = SandboxedRunner(load_profile())
    return runner, why_no_sandbox(runner.image())


def sandboxed_runner() -> SandboxedRunner:
    """The runner of all tests; the test is skipped, with the reason, where there can be no sandbox."""
    runner, reason = _runner()
    if reason:
        pytest.skip(reason)
    return runner


@dataclass
class Session:
    """A session that has ended."""

    result: SessionResult
    records: list[LogRecord]
    working: Path

    def said(self, stream: str = "stdout") -> str:
        return "".join(record.data for record in self.records if record.stream_name == stream)


def make_spec(folder: Path, source: str, **fields: Any) -> SessionSpec:
    """A session offline, with little of everything; `fields` change it."""
    folders = {name: folder / name for name in ("working", "scratch", "modules")}
    for path in folders.values():
        path.mkdir()
    shutil.copy(Path(rsna.local_kaggle.__file__).with_name("kaggle_secrets.py"), folders["modules"])
    values: dict[str, Any] = {
        **{"name": "alice/test v1", "source": source, "type": "script", "language": "python", "mounts": ()},
        **{"environment": {"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, "internet": False, "gpu": False, "docker_image": ""},
        **{"seconds": 60.0, "memory_bytes": 1024 * MB, "working_bytes": 64 * MB},
        **folders,
        **fields,
    }
    return SessionSpec(**values)


def run(folder: Path, source: str, cancelled: threading.Event | None = None, **fields: Any) -> Session:
    """Run a session to its end, a script unless `type` says otherwise."""
    spec, records = make_spec(folder, source, **fields), []
    result = sandboxed_runner().run(spec, records.append, cancelled or threading.Event())
    return Session(result, records, spec.working)


def run_well(folder: Path, source: str, **fields: Any) -> Session:
    """Run a session that must complete."""
    session = run(folder, source, **fields)
    assert session.result.outcome == "complete", session.said("stderr")
    return session


def ask(folder: Path, source: str, **fields: Any) -> Any:
    """What a script that prints JSON in its last line says."""
    return json.loads(run_well(folder, source, **fields).said().splitlines()[-1])


def notebook(*cells: str, kernel: bool = True) -> str:
    """A notebook in JSON."""
    specification = {"name": "python3", "display_name": "Python 3", "language": "python"}

    def code(cell: str) -> dict[str, Any]:
        return {"cell_type": "code", "source": cell, "metadata": {}, "outputs": [], "execution_count": None}

    metadata = {"kernelspec": specification} if kernel else {}
    return json.dumps(
        {"cells": [code(cell) for cell in cells], "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}
    )
