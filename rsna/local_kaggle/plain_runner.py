"""The degraded runner: a plain process with papermill, as this user, with this machine's packages and network.

It is for machines that have no namespaces, and for tests. It hides nothing, and proves nothing about a run on Kaggle.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rsna.errors import RsnaError
from rsna.local_kaggle.execution import LogRecord, SessionResult, SessionSpec
from rsna.local_kaggle.processes import follow, wait

PAPERMILL = (
    *("-m", "papermill", "--no-progress-bar", "--no-report-mode", "--cwd"),
    *("{working}", "--stdout-file", "/dev/stdout", "--stderr-file", "/dev/stderr", "{source}", "{result}"),
)


class PlainRunner:
    """Runs sessions without a sandbox.

    There is no `/kaggle` on this machine: the runner makes one in the scratch folder, writes its path into the pushed
    source in place of `/kaggle/input` and `/kaggle/working`, and tells code that looks by `RSNA_INPUT` and its like.
    """

    sandboxed = False

    def run(self, spec: SessionSpec, log: Callable[[LogRecord], None], cancelled: threading.Event) -> SessionResult:
        """Execute a session; see `rsna.local_kaggle.execution.Runner`."""
        if spec.language != "python":
            raise RsnaError(f"the local Kaggle runs Python only, not {spec.language}")
        place_mounts(spec)
        said = ["nothing"]  # the last line on standard error, which is the exception of a failed notebook

        def record(line: LogRecord) -> None:
            if line.stream_name == "stderr" and line.data.strip():
                said[0] = line.data.strip()
            log(line)

        start = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *write_source(spec)],
            cwd=spec.working,
            env=environment(spec),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        threads = follow(process, record, start)
        outcome = wait(process, spec.seconds, cancelled)
        for thread in threads:
            thread.join(timeout=5)
        message = {"complete": "", "error": said[0]}.get(outcome, outcome)
        return SessionResult(outcome, message, time.monotonic() - start)


def place_mounts(spec: SessionSpec) -> None:
    """Make the tree of `/kaggle/input` in the scratch folder, of links."""
    input_folder = spec.scratch / "kaggle" / "input"
    input_folder.mkdir(parents=True)
    for mount in spec.mounts:
        place = spec.scratch / mount.path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(mount.host)


def write_source(spec: SessionSpec) -> list[str]:
    """Write the pushed source with this machine's paths; returns the interpreter's arguments to run it."""
    text = spec.source.replace("/kaggle/input", str(spec.scratch / "kaggle" / "input"))
    text = text.replace("/kaggle/working", str(spec.working))
    source = spec.scratch / ("script.py" if spec.type == "script" else "source.ipynb")
    source.write_text(text, encoding="utf-8")
    if spec.type == "script":
        return ["-u", str(source)]
    names = {"working": spec.working, "source": source, "result": spec.working / "__notebook__.ipynb"}
    return [argument.format(**names) for argument in PAPERMILL]


def environment(spec: SessionSpec) -> dict[str, str]:
    """The session's variables, and the few that a program needs."""
    home = spec.scratch / "home"
    home.mkdir()
    return {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONPATH": str(spec.modules),
        "RSNA_INPUT": str(spec.scratch / "kaggle" / "input"),
        "RSNA_WORKING": str(spec.working),
        "RSNA_TEMP": str(spec.scratch / "kaggle" / "temp"),
        **spec.environment,
    }
