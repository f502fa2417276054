"""Kernels on Kaggle: push a notebook, follow exactly the run it started, and ask how any run ended."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rsna.errors import RsnaError
from rsna.kaggle.client import connect, is_too_many, patiently, refusals_as_errors, status_of
from rsna.kaggle.logs import KernelRun, write_log

FINISHED = ("complete", "error", "cancel_acknowledged")
SOURCES = ("dataset", "competition", "kernel", "model")
POLL_S = 2.0
PATIENCE_S = 1800.0  # a run goes on without us: a laptop may lose the network meanwhile
MAX_SEARCHED = 30  # versions that are looked at for one that ended well


@dataclass(frozen=True)
class KernelState:
    """What Kaggle says of a kernel: its newest version, when that was run, and whether others may see it."""

    version: int
    last_run: datetime | None
    private: bool


def push_kernel(folder: Path, ref: str, seconds: int | None = None) -> KernelRun:
    """Push a folder with a notebook and its `kernel-metadata.json`, which starts a run.

    Args:
        folder: What to push.
        ref: `owner/slug`, as the metadata say.
        seconds: The longest run; None for Kaggle's own limit.

    Raises:
        RsnaError: For every way in which the command itself would exit 0: an error inside a 200, sources that were
            dropped, a kernel made under another slug.
    """

    def push() -> Any:
        with refusals_as_errors(f"push the kernel {ref}"), contextlib.redirect_stdout(io.StringIO()):
            return connect().kernels_push(str(folder), timeout=str(seconds) if seconds else None)

    answer = patiently(push, retry=is_too_many)
    if answer is None or answer.error:
        raise RsnaError(f"Kaggle refused to run {ref}: {getattr(answer, 'error', 'no answer')}")
    for kind in SOURCES:
        dropped = getattr(answer, f"invalid_{kind}_sources", None)
        if dropped:
            raise RsnaError(f"Kaggle runs {ref} without the {kind} source(s) {', '.join(dropped)}: it has no such")
    given = str(answer.ref or "").removeprefix("/code/").strip("/")
    if given and given.lower() != ref.lower():
        raise RsnaError(f"Kaggle made the kernel {given} instead of {ref}: the title does not fit the slug")
    if not answer.version_number:
        raise RsnaError(f"Kaggle did not say which version of {ref} it started")
    return KernelRun(ref, int(answer.version_number), str(answer.url or ""))


def kernel_state(ref: str) -> KernelState | None:
    """The newest version of a kernel, or None where there is no such kernel (or it is somebody else's secret)."""
    from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelRequest

    request = ApiGetKernelRequest()
    request.user_name, request.kernel_slug = ref.split("/")

    def ask() -> Any:
        with refusals_as_errors(f"look up the kernel {ref}"), connect().build_kaggle_client() as kaggle:
            return kaggle.kernels.kernels_api_client.get_kernel(request).metadata

    try:
        metadata = patiently(ask)
    except RsnaError as error:
        if status_of(error) in (403, 404):  # Kaggle says "permission denied" for what does not exist
            return None
        raise
    return KernelState(int(metadata.current_version_number or 0), metadata.last_run_time, bool(metadata.is_private))


def kernel_url(ref: str) -> str:
    """The page of a kernel."""
    return f"https://www.kaggle.com/code/{ref}"


def run_status(run: KernelRun) -> tuple[str, str]:
    """The status of exactly this run (queued, running, complete, error …) and its failure message."""
    from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelSessionStatusRequest as Request

    request = run.address(Request())
    with refusals_as_errors(f"ask for the status of {run.ref} {run.label}"), connect().build_kaggle_client() as kaggle:
        answer = kaggle.kernels.kernels_api_client.get_kernel_session_status(request)
    return answer.status.name.lower(), str(answer.failure_message or "")


def complete_runs(ref: str, newest: int = 0) -> Iterator[KernelRun]:
    """The runs of a kernel that ended well, from version `newest` (0 for the very newest) down to the oldest.

    Kaggle has no list of them, so each is asked for.
    """
    state = None if newest else kernel_state(ref)
    newest = state.version if state else newest
    for version in range(newest, max(0, newest - MAX_SEARCHED), -1):
        run = KernelRun(ref, version, kernel_url(ref))
        if _ended_well(run):
            yield run


def _ended_well(run: KernelRun) -> bool:
    try:
        return run_status(run)[0] == "complete"
    except RsnaError as error:
        if status_of(error) == 404:  # a version that somebody deleted
            return False
        raise


def follow(run: KernelRun, write: Callable[[str], object], timeout: float) -> None:
    """Stream the log of a run until it has finished.

    Args:
        run: What to follow.
        write: Takes the log as text, piece by piece.
        timeout: Seconds after which to give up; the run itself goes on.

    Raises:
        RsnaError: Where the run fails, is cancelled, or does not finish in time.
    """
    deadline = time.monotonic() + timeout
    seen = 0
    while True:
        status, reason = patiently(lambda: run_status(run), PATIENCE_S)
        seen = write_log(run, seen, write)
        if status in FINISHED:
            break
        if time.monotonic() > deadline:
            raise RsnaError(f"{run.ref} {run.label} still says {status} after {timeout:.0f} s; see {run.url}")
        time.sleep(POLL_S)
    if status != "complete":
        raise RsnaError(f"{run.ref} {run.label} ended as {status}{f': {reason}' if reason else ''}; see {run.url}")
