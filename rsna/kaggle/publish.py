"""`rsna kaggle publish`: a kernel's output becomes a data set; the shards of a prepared set become one."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rsna.errors import InputError
from rsna.io import ensure_dir
from rsna.kaggle.datasets import file_sizes, push_dataset
from rsna.kaggle.kernels import complete_runs
from rsna.kaggle.logs import KernelRun
from rsna.kaggle.outputs import download_outputs, list_outputs
from rsna.kaggle.run import KERNELS, kernel_ref, log_file, output_folder
from rsna.kaggle.settings import Settings
from rsna.preparation.shards import TABLE_NAME, Shard, merge_shards

logger = logging.getLogger(__name__)

PREPARED = "prepared/"  # where the kernel `prepare` writes
LEFTOVERS = re.compile(r"__(notebook|notebook_source|script|results|output)__\..*|__results___files/.*|custom\.css")


def publish_output(settings: Settings, kernel: str, slug: str = "", version: int = 0) -> tuple[str, int]:
    """Turn the output of a run into a data set, and wait until it is ready.

    Args:
        settings: Whose.
        kernel: Its kind, slug, or owner and slug.
        slug: Of the data set; `prepare` and `library` have their own in the settings.
        version: Of the kernel; 0 for the newest that ended well. Shards are looked for from there downwards.

    Returns:
        `owner/slug` and version of the data set.

    Raises:
        InputError: Without a slug, an output, or one of the shards.
        RsnaError: Where Kaggle refuses, or changes a file: it unpacks archives.
    """
    ref, kind = kernel_ref(settings, kernel)
    slug = slug or {"prepare": settings.prepared, "library": settings.wheels}.get(kind, "")
    if not slug:
        raise InputError(f"say what the data set of {ref} is to be called: --as SLUG")
    runs = _runs_to_publish(ref, version)
    notes = ", ".join(f"{run.ref} {run.label}" for run in runs)
    with tempfile.TemporaryDirectory(prefix="publish-", dir=ensure_dir(KERNELS)) as name:
        folder = Path(name)
        if len(runs) > 1:
            merge_shards([_fetch(run) / PREPARED for run in runs], folder)
        else:
            _stage(_fetch(runs[0]), folder, log_file(runs[0]))
        target = f"{settings.user}/{slug}"
        return target, push_dataset(target, slug, folder, notes, file_sizes(folder))


def _runs_to_publish(ref: str, version: int) -> list[KernelRun]:
    """One run, or for a prepared set in shards the newest run of each."""
    shards: dict[Shard, KernelRun] = {}
    for run in complete_runs(ref, version):
        found = _shards(list_outputs(run))
        if not found and not shards:
            return [run]
        for shard in found:
            if not shards or shard.count == next(iter(shards)).count:
                shards.setdefault(shard, run)
        if shards and len(shards) == next(iter(shards)).count:
            return list(dict.fromkeys(shards.values()))
    if not shards:
        raise InputError(f"the kernel {ref} has no run that ended well; `rsna status` shows its last one")
    count = next(iter(shards)).count
    missing = [str(Shard(index, count)) for index in range(1, count + 1) if Shard(index, count) not in shards]
    raise InputError(
        f"{ref}: no run has made shard {', '.join(missing)}: `rsna kaggle run prepare --shard {missing[0]}`"
    )


def _shards(names: Iterable[str]) -> list[Shard]:
    """The shards of a prepared set among a run's outputs."""
    matches = (TABLE_NAME.fullmatch(name.removeprefix(PREPARED)) for name in names if name.startswith(PREPARED))
    return [Shard(int(match[1]), int(match[2])) for match in matches if match]


def _fetch(run: KernelRun) -> Path:
    folder = output_folder(run)
    download_outputs(run, folder, lambda path: not LEFTOVERS.fullmatch(path))
    return folder


def _stage(source: Path, target: Path, log: str) -> None:
    """Give a data set's folder the files of an output: of a prepared set its own folder, else all that was written."""
    prepared = source / PREPARED
    root = prepared if prepared.is_dir() else source
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_file() and name != log and not LEFTOVERS.fullmatch(name):
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            _link(path, place)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
