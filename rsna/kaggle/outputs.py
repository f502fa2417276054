"""What a kernel's run wrote: listed, and fetched several files at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any

from rsna.errors import RsnaError
from rsna.io import atomic_path
from rsna.kaggle.client import connect, patiently, refusals_as_errors
from rsna.kaggle.logs import KernelRun
from rsna.kaggle.parallel import in_parallel
from rsna.log import progress

PAGE = 500  # files, which is Kaggle's most
TIMEOUT_S = 60.0
PLAIN = {"Accept-Encoding": "identity"}  # what is packed on the way has another size
CHUNK = 1 << 20
SMALL = 1 << 16  # bytes: what is no larger is fetched again rather than compared


def list_outputs(run: KernelRun) -> list[str]:
    """The paths of every file that a run wrote, all pages."""
    return [file.file_name for page in _pages(run) for file in page]


def download_outputs(run: KernelRun, folder: Path, wanted: Callable[[str], bool] = lambda path: True) -> list[Path]:
    """Fetch what a run wrote; a large file that is there is kept if it has the size and the date that Kaggle tells.

    The date of a fetched file is Kaggle's for that. The size alone would not do: a kernel that was deleted and made
    again has the same version numbers, and files of the same sizes.

    Args:
        run: Whose output.
        folder: Where it goes, sub-folders kept.
        wanted: Chooses files by their path.

    Raises:
        RsnaError: Where a file does not arrive whole, or its name climbs out of the folder.
    """
    paths: list[Path] = []
    for files in _pages(run):  # page by page: the addresses expire
        chosen = [file for file in files if wanted(file.file_name)]
        if chosen:
            fetched = in_parallel(partial(_fetch, run, folder), chosen)
            paths += progress(fetched, f"outputs of {run.ref} {run.label}", len(chosen))
    return paths


def _fetch(run: KernelRun, folder: Path, file: Any) -> Path:
    path = (folder / file.file_name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise RsnaError(f"{run.ref} names an output {file.file_name!r}, which climbs out of {folder}; not fetched")
    patiently(partial(_save, file.url, path, f"fetch {file.file_name} of {run.ref} {run.label}"))
    return path


def _save(url: str, path: Path, what: str) -> None:
    import requests

    with refusals_as_errors(what), requests.get(url, headers=PLAIN, stream=True, timeout=TIMEOUT_S) as answer:
        answer.raise_for_status()
        size, date = int(answer.headers.get("Content-Length", -1)), _date(answer.headers.get("Last-Modified", ""))
        if size > SMALL and date and _is_there(path, size, date):
            return
        with atomic_path(path) as part:
            _write(part, answer.iter_content(CHUNK))
            if size not in (-1, part.stat().st_size):
                raise requests.ConnectionError(f"{part.stat().st_size} of {size} bytes arrived")
            if date:
                os.utime(part, (date, date))


def _date(text: str) -> int:
    """Seconds since the epoch of an HTTP date; 0 where there is none."""
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except ValueError:
        return 0


def _is_there(path: Path, size: int, date: int) -> bool:
    return path.is_file() and (path.stat().st_size, int(path.stat().st_mtime)) == (size, date)


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    with path.open("wb") as out:
        for block in blocks:
            out.write(block)


def _pages(run: KernelRun) -> Iterator[list[Any]]:
    from kagglesdk.kernels.types.kernels_api_service import ApiListKernelSessionOutputRequest as Request

    request = run.address(Request())
    request.page_size = PAGE
    with connect().build_kaggle_client() as kaggle:

        def read() -> Any:
            with refusals_as_errors(f"list the outputs of {run.ref} {run.label}"):
                return kaggle.kernels.kernels_api_client.list_kernel_session_output(request)

        while True:
            page = patiently(read)
            yield list(page.files or [])
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
