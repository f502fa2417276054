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
from rsna.kaggle.run import KERNELS, kernel_ref, output_folder
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
            for run in runs:
                _fetch(run)
            merge_shards([output_folder(run) / PREPARED for run in runs], folder)
        else:
            _stage(_fetch(runs[0]), output_folder(runs[0]).resolve(), folder)
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


def _fetch(run: KernelRun) -> list[Path]:
    return download_outputs(run, output_folder(run), lambda path: not LEFTOVERS.fullmatch(path))


def _stage(files: list[Path], source: Path, target: Path) -> None:
    """Give a data set's folder the files of an output: of a prepared set its own folder, else all that was written.

    Only what the run has written: a fetch that was killed leaves more in the folder.
    """
    prepared = [path for path in files if path.is_relative_to(source / PREPARED)]
    root = source / PREPARED if prepared else source
    for path in prepared or files:
        place = target / path.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(path, place)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or on another file system a copy."""
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
