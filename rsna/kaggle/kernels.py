"""Kernels on Kaggle: push a notebook, follow exactly the run it started, and fetch what it wrote."""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rsna.errors import RsnaError
from rsna.io import atomic_path
from rsna.kaggle.client import connect, refusals_as_errors, status_of
from rsna.kaggle.logs import KernelRun, write_log
from rsna.log import progress

logger = logging.getLogger(__name__)

FINISHED = ("complete", "error", "cancel_acknowledged")
SOURCES = ("dataset", "competition", "kernel", "model")
POLL_S = 2.0
PAGE = 100
RECONNECTS = 5


def push_kernel(folder: Path, ref: str) -> KernelRun:
    """Push a folder with a notebook and its `kernel-metadata.json`, which starts a run.

    Raises:
        RsnaError: For every way in which the command itself would exit 0: an error inside a 200, sources that were
            dropped, a kernel made under another slug.
    """
    with refusals_as_errors(f"push the kernel {ref}"), contextlib.redirect_stdout(io.StringIO()):
        answer = connect().kernels_push(str(folder))
    if answer is None or answer.error:
        raise RsnaError(f"Kaggle refused to run {ref}: {getattr(answer, 'error', 'no answer')}")
    for kind in SOURCES:
        dropped = getattr(answer, f"invalid_{kind}_sources", None)
        if dropped:
            raise RsnaError(f"Kaggle runs {ref} without the {kind} source(s) {', '.join(dropped)}: they do not exist")
    given = str(answer.ref or "").removeprefix("/code/").strip("/")
    if given and given.lower() != ref.lower():
        raise RsnaError(f"Kaggle made the kernel {given} instead of {ref}: the title does not fit the slug")
    if not answer.version_number:
        raise RsnaError(f"Kaggle did not say which version of {ref} it started")
    return KernelRun(ref, int(answer.version_number), str(answer.url or ""))


def run_status(run: KernelRun) -> tuple[str, str]:
    """The status of exactly this run (queued, running, complete, error …) and its failure message."""
    from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelSessionStatusRequest as Request

    request = _request(Request(), run)
    with refusals_as_errors(f"ask for the status of {run.ref} {run.label}"), connect().build_kaggle_client() as kaggle:
        answer = kaggle.kernels.kernels_api_client.get_kernel_session_status(request)
    return answer.status.name.lower(), str(answer.failure_message or "")


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
        status, reason = run_status(run)
        seen = write_log(run, seen, write)
        if status in FINISHED:
            break
        if time.monotonic() > deadline:
            raise RsnaError(f"{run.ref} {run.label} still says {status} after {timeout:.0f} s; see {run.url}")
        time.sleep(POLL_S)
    if status != "complete":
        raise RsnaError(f"{run.ref} {run.label} ended as {status}{f': {reason}' if reason else ''}; see {run.url}")


def download_outputs(run: KernelRun, folder: Path) -> list[Path]:
    """Fetch every file that a run wrote, all pages; files that are there with the same size are kept.

    Raises:
        RsnaError: Where a file does not arrive whole, or its name climbs out of the folder.
    """
    import requests

    files = [file for page in _output_pages(run) for file in page.files or []]
    paths = []
    for file in progress(files, f"outputs of {run.ref}"):
        path = (folder / file.file_name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise RsnaError(f"{run.ref} names an output {file.file_name!r}, which climbs out of {folder}; not fetched")
        with refusals_as_errors(f"fetch {file.file_name} of {run.ref}"):
            answer = requests.get(file.url, stream=True, timeout=60)
            answer.raise_for_status()
            _save(answer, path)
        paths.append(path)
    return paths


def _save(answer: Any, path: Path) -> None:
    size = int(answer.headers.get("Content-Length", -1))
    if path.is_file() and path.stat().st_size == size:
        return
    with atomic_path(path) as part:
        with part.open("wb") as out:
            for block in answer.iter_content(1 << 20):
                out.write(block)
        if size not in (-1, part.stat().st_size):
            raise OSError(f"{part.stat().st_size} of {size} bytes arrived")


def _output_pages(run: KernelRun, page_size: int = PAGE) -> Iterator[Any]:
    from kagglesdk.kernels.types.kernels_api_service import ApiListKernelSessionOutputRequest as Request

    request = _request(Request(), run)
    request.page_size = page_size
    failures = 0
    with connect().build_kaggle_client() as kaggle:
        while True:
            try:
                with refusals_as_errors(f"list the outputs of {run.ref} {run.label}"):
                    page = kaggle.kernels.kernels_api_client.list_kernel_session_output(request)
            except RsnaError as error:
                failures += 1
                if failures > RECONNECTS or 400 <= status_of(error) < 429:
                    raise
                time.sleep(POLL_S)
                continue
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


def _request(request: Any, run: KernelRun) -> Any:
    request.user_name, request.kernel_slug = run.ref.split("/")
    request.version_label = run.label
    return request
