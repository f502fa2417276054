"""The runner: executes a session in a sandbox that looks like Kaggle, and shows nothing of this machine.

There are the mounts below /kaggle/input, read-only; /kaggle/working, which is kept; /kaggle/temp, /tmp and an empty
home, which are not; the interpreter with the packages of the image profile; and no network if the session asked for
none. Code that runs there without the internet needs nothing that it has not brought along.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Mapping

from rsna.errors import RsnaError
from rsna.local_kaggle.execution import LogRecord, SessionResult, SessionSpec
from rsna.local_kaggle.image import HOME, PYTHON, Image, open_image
from rsna.local_kaggle.memory import limited
from rsna.local_kaggle.mounts import INPUT
from rsna.local_kaggle.plain_runner import PAPERMILL
from rsna.local_kaggle.processes import follow
from rsna.local_kaggle.profile import Profile
from rsna.local_kaggle.sandbox import Sandbox, Step, system_steps
from rsna.local_kaggle.supervision import Watch

logger = logging.getLogger(__name__)

WORKING = "/kaggle/working"
SOURCE = "/kaggle/src"
MODULES = "/kaggle/lib"
PRIVATE = {"home": HOME, "temp": "/kaggle/temp", "tmp": "/tmp"}  # writable, empty, deleted after the run
READ_SECONDS = 5.0  # for the end of the log, after the end of the processes
# what leads to the network on this machine; sessions with internet get it
NETWORK = re.compile(
    r"((http|https|all|no)_proxy|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|STORAGE_EMULATOR_HOST"
    r"|PIP_(INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|CERT|DEFAULT_TIMEOUT))",
    re.IGNORECASE,
)


class SandboxedRunner:
    """Runs sessions in sandboxes with the packages of one image profile."""

    sandboxed = True

    def __init__(self, profile: Profile) -> None:
        """Look at what the profile's image has here. Raises `InputError` where it cannot run notebooks."""
        self.profile = profile
        self._image = open_image(profile)
        self._stamp = _stamp(self._image)
        self._lock = threading.Lock()

    def image(self) -> Image:
        """The image; looked at anew after packages were installed or removed on this machine."""
        with self._lock:
            if (stamp := _stamp(self._image)) != self._stamp:
                self._image, self._stamp = open_image(self.profile), stamp
            return self._image

    def run(self, spec: SessionSpec, log: Callable[[LogRecord], None], cancelled: threading.Event) -> SessionResult:
        """Execute a session; see `rsna.local_kaggle.execution.Runner`."""
        if spec.language != "python":
            raise RsnaError(f"the local Kaggle runs Python only, not {spec.language}")
        sandbox, program = session_sandbox(spec, self.image()), _program(spec)
        said = _LastWord(log)
        with limited(spec.memory_bytes) as meter:
            process = sandbox.start(program, spec.scratch, meter.wrapper)
            watch = Watch(spec, process, meter)
            threads = follow(process, said, watch.start)
            outcome, message = watch.wait(cancelled)
            for thread in threads:
                thread.join(READ_SECONDS)
        return SessionResult(
            outcome,
            said.text if outcome == "error" else message,
            watch.seconds,
            sandboxed=True,
            proven_offline=not spec.internet,
            peak_memory=watch.peak_memory,
            peak_disk=watch.peak_disk,
        )


def session_sandbox(spec: SessionSpec, image: Image) -> Sandbox:
    """The sandbox of a session; makes the folders that it needs in the scratch folder."""
    folders = {name: spec.scratch / name for name in (*PRIVATE, "image", "src")}
    for folder in folders.values():
        folder.mkdir()
    (folders["src"] / _source_name(spec)).write_text(spec.source, encoding="utf-8")
    steps: list[Step] = [
        *system_steps(spec.internet, image.profile.shared_memory_mb, spec.gpu),
        *image.steps(folders["image"]),
        ("tmpfs", INPUT, "size=16m,mode=755"),
        *(("bind", str(mount.host), mount.path, "read-only") for mount in spec.mounts),
        ("protect", INPUT),
        ("bind", str(spec.modules), MODULES, "read-only"),
        ("bind", str(folders["src"]), SOURCE, "read-only"),
        ("bind", str(spec.working), WORKING, "writable"),
        *(("bind", str(folders[name]), place, "writable") for name, place in PRIVATE.items()),
    ]
    return Sandbox(tuple(steps), _environment(spec, image), spec.internet, WORKING)


def _environment(spec: SessionSpec, image: Image) -> dict[str, str]:
    return {
        **image.environment,
        "HOME": HOME,
        "LANG": "C.UTF-8",
        "PYTHONPATH": MODULES,
        **(network_variables(os.environ) if spec.internet else {}),
        **spec.environment,
    }


def network_variables(base: Mapping[str, str]) -> dict[str, str]:
    """The variables of an environment that lead to the network.

    None in a shell that was made for the local Kaggle: the proxy there is the local Kaggle, which leads nowhere.
    """
    if base.get("KAGGLE_API_ENVIRONMENT") == "LOCALHOST":
        return {}
    return {name: value for name, value in base.items() if NETWORK.fullmatch(name)}


def _source_name(spec: SessionSpec) -> str:
    return "script.py" if spec.type == "script" else "notebook.ipynb"


def _program(spec: SessionSpec) -> list[str]:
    source = f"{SOURCE}/{_source_name(spec)}"
    if spec.type == "script":
        return [PYTHON, "-u", source]
    names = {"working": WORKING, "source": source, "result": f"{WORKING}/__notebook__.ipynb"}
    return [PYTHON, *(argument.format(**names) for argument in PAPERMILL)]


def _stamp(image: Image) -> tuple[int, ...]:
    return tuple(site.stat().st_mtime_ns for site in image.interpreter.sites)


class _LastWord:
    """Passes a log on, and remembers the last line of standard error: the exception of a notebook that failed."""

    def __init__(self, log: Callable[[LogRecord], None]) -> None:
        self.log = log
        self.text = "it failed and said nothing"

    def __call__(self, record: LogRecord) -> None:
        if record.stream_name == "stderr" and record.data.strip():
            self.text = record.data.strip()
        self.log(record)
