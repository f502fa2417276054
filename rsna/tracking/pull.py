"""Runs from elsewhere, brought under `.rsna/mlruns` file by file and then into `mlflow.db` of the current folder.

Files lie in `.rsna/mlruns/gs/<bucket>/<prefix>/…` and `.rsna/mlruns/folders/<name>-<hash>/…`, in the layout of the file
store that they come from. Not in `./mlruns`, beside which plain `mlflow ui` would take the wrong store.
"""

from __future__ import annotations

import filecmp
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from rsna.errors import InputError
from rsna.io import ensure_dir, file_name
from rsna.log import progress
from rsna.tracking.merge import Outcome, RunDatabase
from rsna.tracking.run_files import ROUNDS, batches, find_stores, list_files, local_path, snapshot, until_settled
from rsna.tracking.storage import BucketFolder, RemoteFile, crc32c_file
from rsna.tracking.store import STATE, first_line

logger = logging.getLogger(__name__)

PULLED = STATE / "mlruns"
PARTS = ".part-"  # folders of what has arrived but is not yet known to be whole
MAX_FILE_BYTES = 8 * 2**30  # a plot, a table, weights; more is an accident or an attack
SPARE_BYTES = 2**30  # of the disk, to be left free


@dataclass
class PullReport:
    """What a pull did.

    Attributes:
        taken: Files that were written.
        failed: What went wrong, by file.
        runs: What became of each run in `mlflow.db`, by run id.
    """

    taken: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Outcome] = field(default_factory=dict)


def pull_runs(bucket: BucketFolder | None, folders: Sequence[Path] = ()) -> PullReport:
    """Bring runs from a bucket and from folders into `mlflow.db` of the current folder. Again, it takes what changed.

    Runs that were deleted here stay deleted, and their files are no longer fetched. Files that fail leave the older
    state of their run; the rest is merged all the same.

    Args:
        bucket: Where `Pusher` puts runs; None for folders alone.
        folders: Folders that hold a file store somewhere, such as a kernel's downloaded output.

    Raises:
        InputError: A folder holds no runs, the disk is too small, or another pull is under way here.
        RsnaError: The bucket cannot be listed, or `mlflow.db` not be written.
    """
    report = PullReport()
    with _alone():
        database = RunDatabase()
        skip = database.deleted_runs()
        if bucket:
            _pull_bucket(bucket, skip, report)
        for folder in folders:
            _pull_folder(folder, skip, report)
        report.runs = database.merge(PULLED)
    return report


def _pull_bucket(source: BucketFolder, skip: Container[str], report: PullReport) -> None:
    folder = local_path(PULLED / "gs", f"{source.bucket}/{source.prefix}".rstrip("/"))
    if folder is None:
        raise InputError(f"{source} is no folder of a bucket; check bucket and prefix")
    for _ in range(ROUNDS):  # a file that is replaced while it is fetched has another checksum than was listed
        remote = _acceptable(source, skip)
        files = progress(remote.items(), f"comparing with {source}")
        wanted = [name for name, file in files if _outdated(folder / name, file)]
        _check_space(sum(remote[name].size for name in wanted))
        report.failed = {}
        for part in progress(list(batches((name, remote[name].size) for name in wanted)), f"pulling {source}"):
            _fetch(source, part, remote, folder, report)
        if not report.failed:
            return


def _acceptable(source: BucketFolder, skip: Container[str]) -> dict[str, RemoteFile]:
    """The bucket's files but for those of skipped runs, and those that no honest run has."""
    files = {name: file for name, file in source.list().items() if not name.endswith("/")}  # a console makes "folders"
    refused = {name for name, file in files.items() if not local_path(PULLED, name) or file.size > MAX_FILE_BYTES}
    for name in sorted(refused)[:5]:
        logger.warning("%s holds %r, which has no place among runs; left there (%d such)", source, name, len(refused))
    return {name: file for name, file in files.items() if name not in refused and not _skipped(name, skip)}


def _skipped(name: str, skip: Container[str]) -> bool:
    return any(part in skip for part in name.split("/"))


def _outdated(path: Path, file: RemoteFile) -> bool:
    return not (path.is_file() and path.stat().st_size == file.size and crc32c_file(path) == file.crc32c)


def _check_space(size: int) -> None:
    free = shutil.disk_usage(PULLED).free
    if size and size > free - SPARE_BYTES:
        raise InputError(f"the runs to be pulled have {size / 2**30:.1f} GB, the disk only {free / 2**30:.1f} GB free")


def _fetch(
    source: BucketFolder, names: Iterable[str], remote: Mapping[str, RemoteFile], folder: Path, report: PullReport
) -> None:
    with tempfile.TemporaryDirectory(prefix=PARTS, dir=PULLED) as aside:
        parts = {name: Path(aside, str(number)) for number, name in enumerate(names)}
        report.failed |= (failed := source.download(parts, remote))
        for name, part in parts.items():
            if name not in failed:
                _place(name, part, folder, report)


def _pull_folder(source: Path, skip: Container[str], report: PullReport) -> None:
    stores = find_stores(source)
    if not stores:
        raise InputError(
            f"{source} holds no MLflow runs (mlruns/<experiment>/meta.yaml); name a kernel's output folder"
        )
    path = source.resolve()
    base = PULLED / "folders" / f"{file_name(path.name)}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    for store in stores:
        target = base / store.relative_to(source)
        for name in until_settled(partial(_copy, store, target, skip, report)):
            report.failed[name] = "somebody is still writing it"


def _copy(store: Path, target: Path, skip: Container[str], report: PullReport) -> list[str]:
    """Copy what is new or changed in a file store; the names of files that are being written are returned."""
    waiting = []
    names = [name for name in list_files(store) if local_path(target, name) and not _skipped(name, skip)]
    with tempfile.TemporaryDirectory(prefix=PARTS, dir=PULLED) as aside:
        part = Path(aside, "file")
        for name in progress(names, f"copying {store}"):
            if _same(store / name, target / name):
                continue
            if snapshot(store, name, part) is None:
                waiting.append(name)
            elif not _same(part, target / name):
                _place(name, part, target, report)
    return waiting


def _same(left: Path, right: Path) -> bool:
    return right.is_file() and filecmp.cmp(left, right, shallow=False)


def _place(name: str, part: Path, folder: Path, report: PullReport) -> None:
    """Give a whole file its name."""
    try:
        ensure_dir((folder / name).parent)
        part.replace(folder / name)
    except (OSError, InputError) as error:  # a file and a folder of one name, such as only a stranger makes
        report.failed[name] = first_line(error)
    else:
        report.taken.append(name)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other pulls out, and clear away what a killed one left."""
    lock = FileLock(ensure_dir(STATE) / "pull.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError("another pull is under way in this folder; wait for its end") from error
    try:
        for left in ensure_dir(PULLED).glob(f"{PARTS}*"):
            shutil.rmtree(left)
        yield
    finally:
        lock.release()
