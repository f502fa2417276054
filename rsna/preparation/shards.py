"""Shards: every n-th patient prepared on its own, perhaps on another machine, then merged into one set."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from rsna.config import DETECTOR_FILE, differences
from rsna.data.prepared import FAILED_FILE, TABLE_FILE, PreparedSpec
from rsna.data.table import check_image_table, inside
from rsna.errors import InputError
from rsna.io import atomic_path, ensure_dir
from rsna.log import progress
from rsna.preparation.folder import FAILED_COLUMNS, claim, clear_leftovers, finish, with_suffix
from rsna.tables import Column, read_csv, read_parquet

HOME = "home"  # the folder of a row's shard, while merging
ROW = "row"  # a shard's tables keep the row of the whole table, so that the merged one has its order
FAILED_SPEC = (*(Column(name, "id") for name in FAILED_COLUMNS), Column(ROW, "int"))
TABLE_NAME = re.compile(r"table\.shard-(\d+)-of-(\d+)\.parquet")


@dataclass(frozen=True, order=True)
class Shard:
    """Shard `index` (from 1) of `count`."""

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise InputError(f"there is no shard {self}; give i/n with 1 <= i <= n, for instance 2/4")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `i/n`, or raise `InputError`."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if not match:
            raise InputError(f"{text!r} is no shard; give i/n with 1 <= i <= n, for instance 2/4")
        return cls(int(match[1]), int(match[2]))

    @property
    def suffix(self) -> str:
        """Of the names of its tables: empty for the only shard."""
        return f".shard-{self.index}-of-{self.count}" if self.count > 1 else ""

    def take(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of every n-th group in the order of first appearance; with the column `row` if there are several."""
        if self.count == 1:
            return table
        groups, _ = pd.factorize(table["group_id"])
        return table.assign(**{ROW: range(len(table))})[groups % self.count == self.index - 1]


WHOLE = Shard()


def merge_shards(folders: Sequence[Path], out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Merge the shards in some folders into one prepared set, the same as one made in one go. Can be run again.

    Args:
        folders: Each holds one shard or several; may include `out` itself.
        out: The merged set. Pictures are linked where the file system can, and else copied.

    Returns:
        The merged image table, and the failures: image_id, path, reason.

    Raises:
        InputError: Where the shards belong to different sets, one is missing or there twice, or a picture is missing.
    """
    spec = _common_spec(folders)
    shards = _find_shards(folders)
    table = _in_order([_read_table(folder, shard) for shard, folder in shards.items()])
    failed = _in_order([_read_failed(folder, shard) for shard, folder in shards.items()])
    check_image_table(table, "the merged table")
    if len(table) + len(failed) != spec.images:
        raise InputError(f"the shards hold {len(table) + len(failed)} images, not {spec.images}; prepare them again")
    claim(out, spec, folders[0] / DETECTOR_FILE if spec.detector else None)
    homes = table.pop(HOME)
    for home, path in progress(zip(homes, table["path"], strict=True), "merge", len(table)):
        _place(inside(home, path), inside(out, path))
    clear_leftovers({out, *(inside(out, path).parent for path in table["path"])})
    finish(out, table, failed)
    return table, failed


def _common_spec(folders: Sequence[Path]) -> PreparedSpec:
    if not folders:
        raise InputError("name the folders of the shards to merge")
    first, *others = (PreparedSpec.read(folder) for folder in folders)
    for folder, spec in zip(folders[1:], others, strict=True):
        if spec.hash != first.hash:
            lines = "; ".join(differences(first.identity(), spec.identity()))
            raise InputError(f"{folders[0]} and {folder} are shards of different sets: {lines}")
        if spec.labels != first.labels:
            lines = "; ".join(differences(first.labels, spec.labels, "labels"))
            raise InputError(f"{folders[0]} and {folder} have targets of different rules: {lines}")
    return first


def _find_shards(folders: Sequence[Path]) -> dict[Shard, Path]:
    """Where each shard lies, in the order of the shards; all there, none twice."""
    homes: dict[Shard, Path] = {}
    for folder in dict.fromkeys(folders):
        matches = [match for path in folder.iterdir() if (match := TABLE_NAME.fullmatch(path.name))]
        if not matches:
            raise InputError(f"{folder} holds no finished shard; run `rsna prepare --shard i/n` there to its end")
        for shard in (Shard(int(match[1]), int(match[2])) for match in matches):
            if shard in homes:
                raise InputError(f"shard {shard} is in {homes[shard]} and in {folder}; give it once")
            homes[shard] = folder
    count = next(iter(homes)).count
    strange = next((shard for shard in homes if shard.count != count), None)
    if strange:
        raise InputError(f"shard {strange} in {homes[strange]} is not one of {count}; merge shards of one division")
    missing = [str(Shard(i, count)) for i in range(1, count + 1) if Shard(i, count) not in homes]
    if missing:
        raise InputError(f"the shard(s) {', '.join(missing)} are missing; prepare them, and name their folders too")
    return dict(sorted(homes.items()))


def _read_table(folder: Path, shard: Shard) -> pd.DataFrame:
    return read_parquet(with_suffix(folder / TABLE_FILE, shard.suffix)).assign(**{HOME: str(folder)})


def _read_failed(folder: Path, shard: Shard) -> pd.DataFrame:
    path = with_suffix(folder / FAILED_FILE, shard.suffix)
    return read_csv(path, FAILED_SPEC) if path.exists() else pd.DataFrame(columns=[*FAILED_COLUMNS, ROW])


def _in_order(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all shards in the order of the table that was divided."""
    filled = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(filled).sort_values(ROW, ignore_index=True).drop(columns=ROW)


def _place(source: Path, target: Path) -> None:
    """Give a picture its place in the merged set: a hard link, else a copy. One that is there is complete."""
    if target.exists():
        return
    if not source.is_file():
        raise InputError(f"the picture {source} is missing; prepare that shard again")
    ensure_dir(target.parent)
    try:
        os.link(source, target)
    except OSError:  # another disk, or a file system without links
        with atomic_path(target) as part:
            shutil.copy2(source, part)
