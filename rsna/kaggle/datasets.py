"""Data sets on Kaggle: push a folder, wait for exactly that version, and verify what arrived."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsna.errors import RsnaError
from rsna.io import write_json
from rsna.kaggle.client import connect, patiently, refusals_as_errors, status_of

logger = logging.getLogger(__name__)

METADATA_FILE = "dataset-metadata.json"
WAIT_S = 1800.0  # a large data set is unpacked for minutes
PAGE = 200


@dataclass(frozen=True)
class DatasetState:
    """What Kaggle says of a data set: its processing status and the version that is current."""

    status: str
    version: int

    @property
    def ready(self) -> bool:
        """Whether a kernel that starts now would find it mounted."""
        return self.status == "ready"


def dataset_state(ref: str) -> DatasetState | None:
    """The state of `owner/slug`, or None where there is no such data set (or it is somebody else's secret)."""

    def ask() -> dict[str, Any]:
        with refusals_as_errors(f"look up the data set {ref}"):
            return dict(json.loads(connect().dataset_status(ref, format="json(status,current_version_number)")))

    try:
        answer = patiently(ask)
    except RsnaError as error:
        if status_of(error) in (403, 404):  # Kaggle says "permission denied" for what does not exist
            return None
        raise
    return DatasetState(str(answer["status"]).lower(), int(answer["current_version_number"] or 0))


def is_private(ref: str) -> bool:
    """Whether only its owner can see a data set."""
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

    request = ApiGetDatasetRequest()
    request.owner_slug, request.dataset_slug = ref.split("/")
    with refusals_as_errors(f"look up the data set {ref}"), connect().build_kaggle_client() as kaggle:
        return bool(kaggle.datasets.dataset_api_client.get_dataset(request).is_private)


def file_sizes(folder: Path) -> dict[str, int]:
    """Size in bytes by relative path of every file below a folder, as `push_dataset` expects them."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def push_dataset(ref: str, title: str, folder: Path, notes: str, expected: Mapping[str, int]) -> int:
    """Make a data set, or a new version of it, of a folder with sub-folders; private when it is new.

    Args:
        ref: `owner/slug`.
        title: 6 to 50 characters that no other data set of the owner has; only a new one gets it.
        folder: What to push; gets a `dataset-metadata.json`.
        notes: Of the version.
        expected: Size in bytes by relative path, as it must arrive.

    Returns:
        The version number, once it is ready and its files are the expected ones.

    Raises:
        RsnaError: Where Kaggle refuses, does not get ready in time, or has other files than were pushed.
    """
    write_json(folder / METADATA_FILE, {"id": ref, "title": title, "licenses": [{"name": "CC0-1.0"}]})
    before = dataset_state(ref)
    if before and before.status not in ("ready", "failed"):
        wait_ready(ref, before.version)  # a second version while the first is processed is refused
    with refusals_as_errors(f"push {ref}"), contextlib.redirect_stdout(io.StringIO()):
        api = connect()
        if before:
            answer = api.dataset_create_version(str(folder), notes, quiet=True, dir_mode="zip")
        else:
            answer = api.dataset_create_new(str(folder), public=False, quiet=True, dir_mode="zip")
    check_answer(answer, f"push {ref}")
    version = wait_ready(ref, before.version + 1 if before else 1)
    verify_files(ref, expected)
    return version


def check_answer(answer: Any, what: str) -> None:
    """Raise `RsnaError` for an answer that says error with HTTP status 200, which the command would exit 0 on."""
    status = str(getattr(answer, "status", "") or "").lower()
    reason = getattr(answer, "error", None)
    if reason or status == "error":
        raise RsnaError(f"Kaggle refused to {what}: {reason or 'it gives no reason'}")
    tags = getattr(answer, "invalid_tags", None)
    if tags:
        raise RsnaError(f"Kaggle dropped tags while it tried to {what}: {', '.join(tags)}")


def wait_ready(ref: str, version: int) -> int:
    """Wait until at least `version` of a data set is current and ready; returns the version that is."""
    deadline = time.monotonic() + WAIT_S
    pause = 0.2
    while True:
        state = dataset_state(ref)
        if state and state.version >= version and state.ready:
            return state.version
        if state and state.status in ("failed", "deleted"):
            raise RsnaError(
                f"Kaggle could not process {ref}: its status is {state.status}; look at the data set's page"
            )
        if time.monotonic() > deadline:
            seen = f"version {state.version}, {state.status}" if state else "nothing"
            raise RsnaError(
                f"{ref}: version {version} was not ready after {WAIT_S:.0f} s; Kaggle shows {seen}; look at the data"
                " set's page, and push again"
            )
        logger.debug("waiting for %s version %d: %s", ref, version, state)
        time.sleep(pause)
        pause = min(pause * 1.5, 10.0)


def remote_files(ref: str) -> dict[str, int]:
    """Size in bytes by path of every file of a data set's current version, all pages."""
    files: dict[str, int] = {}
    token: str | None = None

    def read() -> Any:
        with refusals_as_errors(f"list the files of {ref}"):
            return connect().dataset_list_files(ref, page_token=token, page_size=PAGE)

    while True:
        page = patiently(read)
        if page is None or page.error_message:
            raise RsnaError(f"Kaggle did not list the files of {ref}: {getattr(page, 'error_message', 'no answer')}")
        files.update({file.name: int(file.total_bytes) for file in page.files})
        token = page.next_page_token
        if not token:
            return files


def verify_files(ref: str, expected: Mapping[str, int]) -> None:
    """Raise `RsnaError` where a data set lacks an expected file or has it with another size, naming the first ones."""
    problems = file_problems(ref, expected)
    if problems:
        raise RsnaError(f"{ref} is not what was pushed: {'; '.join(problems[:5])} ({len(problems)} in all); push again")


def file_problems(ref: str, expected: Mapping[str, int]) -> list[str]:
    """What is wrong with the files of a data set: one line for each that is missing or has another size."""
    found = remote_files(ref)
    problems = [f"{path} is missing" for path in expected if path not in found]
    problems += [
        f"{path} has {found[path]} bytes instead of {size}"
        for path, size in expected.items()
        if path in found and found[path] != size
    ]
    return problems


def read_remote_file(ref: str, name: str) -> bytes | None:
    """The content of one small file of a data set; None where the data set or the file does not exist."""
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = ref.split("/")
    request.file_name = name

    def read() -> bytes:
        with refusals_as_errors(f"download {name} of {ref}"), connect().build_kaggle_client() as kaggle:
            content = bytes(kaggle.datasets.dataset_api_client.download_dataset(request).content)
        return _unpacked(content, name)

    try:
        return patiently(read)
    except RsnaError as error:
        if status_of(error) in (403, 404):
            return None
        raise


def _unpacked(content: bytes, name: str) -> bytes:
    """A file's content, out of the archive in which Kaggle sends some single files."""
    if not content.startswith(b"PK\x03\x04") or name.endswith(".zip"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(Path(name).name)


def download_file(ref: str, name: str, folder: Path) -> Path | None:
    """Download one small file of a data set; None where the data set or the file does not exist."""
    content = read_remote_file(ref, name)
    if content is None:
        return None
    path = folder / Path(name).name
    path.write_bytes(content)
    return path


def download_dataset(ref: str, folder: Path) -> None:
    """Download and unpack the current version of a data set."""
    with refusals_as_errors(f"download {ref}"), contextlib.redirect_stdout(io.StringIO()):
        connect().dataset_download_files(ref, path=str(folder), force=True, quiet=True, unzip=True)
