"""The files of an MLflow file store: which count, when one may be copied, and where a foreign name may be written.

The layout is `<experiment id>/<run id>/{meta.yaml,params/*,tags/*,metrics/*,artifacts/**}`.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath

Stamp = tuple[int, int, int]  # bytes, modified and changed in nanoseconds

META = "meta.yaml"
METRICS = "metrics"
SETTLE_S = 2.0  # a file that nobody touched for so long is whole
ROUNDS = 3
MAX_NAME_BYTES = 1024  # what Cloud Storage allows
BATCH_FILES, BATCH_BYTES = 32, 256 * 2**20
HIDDEN = re.compile(
    r"\.part-.*|\.nfs.*|\.trash"
)  # unfinished files of `rsna.io`, of NFS; experiments deleted in MLflow


def list_files(folder: Path) -> list[str]:
    """The regular files below a folder as relative POSIX paths, a run's `meta.yaml` after all its other files.

    Unfinished files are left out, and so are links: they could lead anywhere.
    """
    names = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not HIDDEN.fullmatch(name)]
        for name in files:
            path = Path(parent, name)
            if not HIDDEN.fullmatch(name) and read_stamp(path):
                names.append(path.relative_to(folder).as_posix())
    return sorted(names, key=lambda name: (PurePosixPath(name).name == META, name))


def find_stores(folder: Path) -> list[Path]:
    """The file stores at or below a folder: the folders that hold `<digits>/meta.yaml`. None lies inside another."""
    found = []
    for parent, folders, _ in os.walk(folder):
        if any(name.isdigit() and Path(parent, name, META).is_file() for name in folders):
            found.append(Path(parent))
            folders.clear()
    return sorted(found)


def read_stamp(path: Path) -> Stamp | None:
    """What changes when a file does; None where it is gone, or no regular file."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns) if stat.S_ISREG(found.st_mode) else None


def snapshot(folder: Path, name: str, copy: Path) -> Stamp | None:
    """Copy a file of a file store, unless somebody is writing it.

    A metric is a file of lines that only grows: what is there up to its last line end is always good.

    Args:
        folder: The file store.
        name: The file's path in it.
        copy: Where to write the copy.

    Returns:
        The stamp of the state that was copied; None where the file was touched in the last seconds or during the copy.

    Raises:
        OSError: It cannot be read, or the copy not be written.
    """
    source = folder / name
    before = read_stamp(source)
    grows = name.split("/")[2:3] == [METRICS]
    if before is None or not (grows or _age(before) > SETTLE_S):
        return None
    shutil.copyfile(source, copy, follow_symlinks=False)
    if grows:
        content = copy.read_bytes()
        copy.write_bytes(content[: content.rfind(b"\n") + 1])
    return before if grows or read_stamp(source) == before else None


def _age(found: Stamp) -> float:
    """Seconds since the last change. A time in the future, from another machine's clock, counts as long ago."""
    age = time.time() - max(found[1:]) / 1e9
    return age if age > -SETTLE_S else -age


def until_settled(step: Callable[[], Collection[str]]) -> Collection[str]:
    """Repeat a step that returns the files still being written, a few times; what is left is returned."""
    waiting = step()
    for _ in range(ROUNDS):
        if not waiting:
            break
        time.sleep(SETTLE_S)
        waiting = step()
    return waiting


def batches(files: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """Group (name, bytes) into lists that are small enough to be copied aside."""
    batch: list[str] = []
    total = 0
    for name, size in files:
        if batch and (len(batch) == BATCH_FILES or total + size > BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(name)
        total += size
    if batch:
        yield batch


def local_path(folder: Path, name: str) -> Path | None:
    """Where the file `name` of a bucket belongs below a folder; None for a name that no honest run has.

    Names in a bucket are anybody's: absolute, climbing, or with bytes that a terminal would obey.
    """
    parts = name.split("/")
    for part in parts:
        if part in ("", ".", "..") or not part.isprintable() or "\\" in part or len(os.fsencode(part)) > 255:
            return None
    return folder.joinpath(*parts) if len(os.fsencode(name)) <= MAX_NAME_BYTES else None
