"""The folder of a prepared set while it is made: claimed by its spec first, finished by its table last."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from rsna.config import DETECTOR_FILE, differences
from rsna.data.prepared import FAILED_FILE, SPEC_FILE, TABLE_FILE, PreparedSpec
from rsna.errors import InputError, RsnaError
from rsna.io import atomic_path, ensure_dir, sha256_file
from rsna.tables import write_csv, write_parquet

FAILED_COLUMNS = ["image_id", "path", "reason"]

logger = logging.getLogger(__name__)


def claim(folder: Path, spec: PreparedSpec, detector: Path | None = None) -> None:
    """Make the folder and write its spec, or check that it already holds the same set.

    Where only the rules differ that made the targets, the pictures stay, and the set is unfinished until its table is
    written anew.

    Args:
        folder: The prepared set's.
        spec: How it is made.
        detector: The file of `spec.detector`, which the set keeps a copy of.

    Raises:
        InputError: Where the folder cannot be written, or holds a set of another spec.
    """
    ensure_dir(folder)
    if (folder / SPEC_FILE).exists():
        _check_claim(folder, spec)
    else:
        spec.write(folder)
    target = folder / DETECTOR_FILE
    if detector and spec.detector and not (target.is_file() and sha256_file(target) == spec.detector.sha256):
        with atomic_path(target) as part:
            shutil.copyfile(detector, part)


def _check_claim(folder: Path, spec: PreparedSpec) -> None:
    found = PreparedSpec.read(folder)
    if found.hash != spec.hash:
        lines = "; ".join(differences(found.identity(), spec.identity()))
        raise InputError(f"{folder} holds another prepared set ({lines}); choose another env.prepared or delete it")
    if found.labels != spec.labels:
        for table in folder.glob(f"{Path(TABLE_FILE).stem}*.parquet"):  # also those of shards
            table.unlink()
        replace(found, labels=spec.labels).write(folder)
    other = differences(found.versions, spec.versions)
    if other:
        logger.warning("%s was begun with other versions (%s); pictures may differ in a bit", folder, "; ".join(other))


def clear_leftovers(folders: Iterable[Path]) -> None:
    """Delete the temporary files that killed runs and workers have left in these folders."""
    for folder in folders:
        for part in folder.glob(".part-*"):
            part.unlink(missing_ok=True)


def finish(folder: Path, table: pd.DataFrame, failed: pd.DataFrame, suffix: str = "") -> None:
    """Write the list of failures, if there are any, and then the table, which marks the set as finished.

    Args:
        folder: The prepared set's, or a shard's.
        table: The image table of the pictures that are there.
        failed: One row per failure: image_id, path (the source's), reason.
        suffix: Of the names of a shard's tables, for instance `.shard-2-of-4`.

    Raises:
        RsnaError: After writing, where not a single image could be used.
    """
    failures = with_suffix(folder / FAILED_FILE, suffix)
    if len(failed):
        write_csv(failures, failed)
    else:
        failures.unlink(missing_ok=True)  # of an earlier run, whose failures were mended
    write_parquet(with_suffix(folder / TABLE_FILE, suffix), table)
    if len(failed) and table.empty:
        first = failed.iloc[0]
        raise RsnaError(f"none of {len(failed)} images could be used; the first, {first['path']}: {first['reason']}")


def with_suffix(path: Path, suffix: str) -> Path:
    """`table.parquet` with a shard's suffix: `table.shard-2-of-4.parquet`."""
    return path.with_name(f"{path.stem}{suffix}{path.suffix}")
