"""The prepared data set: pictures of one size, their table, and how they were made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rsna.config import DETECTOR_FILE, DetectorFile, ImagingSpec, dump, load
from rsna.data.table import check_image_table, inside, join_folds
from rsna.errors import InputError
from rsna.imaging import RegionFinder, read_png
from rsna.io import digest, read_json, write_json
from rsna.tables import Column, read_csv, read_parquet

SCHEMA = 2  # 2: JPEG 2000 at a reduced resolution, regions of a finer thumbnail
SPEC_FILE = "spec.json"
TABLE_FILE = "table.parquet"
FOLDS_FILE = "folds.csv"
FAILED_FILE = "failed.csv"
LATER = ("origin", "boxes", "detector")  # of the spec; younger than the first sets
FOLD_COLUMNS = (Column("image_id", "id"), Column("fold", "int"))


@dataclass(frozen=True)
class PreparedSpec:
    """How a prepared set is made: the file `spec.json`, the first that is written.

    Attributes:
        competition: A registered competition.
        imaging: How a file became a picture.
        images: How many images were to be prepared.
        image_list: Digest of their ids, groups and paths.
        source: The data folder, as it was given.
        versions: The libraries that decoded, by name.
        schema: The version of this layout.
        origin: Empty for the competition's own images; else the name of an external set, which is never validated on.
        labels: The choices that made the targets, where there were any.
        boxes: Digest of the regions that came from a table of boxes; empty where all were found in the pixels.
        detector: What found the regions, a file of the set; None where none did.
    """

    competition: str
    imaging: ImagingSpec
    images: int
    image_list: str
    source: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA
    origin: str = ""
    labels: dict[str, Any] = field(default_factory=dict)
    boxes: str = ""
    detector: DetectorFile | None = None

    def identity(self) -> dict[str, Any]:
        """What two sets must share to have the same pictures: not where, with which libraries and labels made.

        What is in `LATER` counts where it is given: sets that were made before it existed keep their hash.
        """
        values = {key: value for key, value in dump(self).items() if key not in ("source", "versions", "labels")}
        return {key: value for key, value in values.items() if value or key not in LATER}

    @property
    def hash(self) -> str:
        """The SHA-256 of the identity."""
        return digest(self.identity())

    def write(self, folder: Path) -> None:
        """Write `spec.json`."""
        write_json(folder / SPEC_FILE, {**dump(self), "hash": self.hash})

    @classmethod
    def read(cls, folder: Path) -> PreparedSpec:
        """Read and check `spec.json`.

        Raises:
            InputError: Where the folder holds no prepared set, one of another schema version, or an edited spec.
        """
        path = folder / SPEC_FILE
        if not path.is_file():
            raise InputError(f"{folder} is no prepared data set: it has no {SPEC_FILE}; make one with `rsna prepare`")
        mapping = read_json(path)
        schema = mapping.get("schema") if isinstance(mapping, dict) else None
        if schema != SCHEMA:
            raise InputError(f"{path} has schema version {schema}, this program reads {SCHEMA}; prepare the data again")
        stored = mapping.pop("hash", None)
        spec = load(cls, mapping, str(path))
        if stored != spec.hash:
            raise InputError(f"{path} was edited: its hash does not fit its content; prepare the data again")
        return spec


@dataclass(frozen=True)
class PreparedSet:
    """A finished prepared data set.

    Attributes:
        folder: Where it lies.
        spec: How it was made.
        table: Its image table, with `fold` where a split was given, and `source_path`: the file that a picture was
            made of, relative to the competition's data folder.
    """

    folder: Path
    spec: PreparedSpec
    table: pd.DataFrame

    @classmethod
    def open(cls, folder: str | Path, folds: str | Path | None = None) -> PreparedSet:
        """Open a prepared set and check its spec, table and split.

        Args:
            folder: Made by `rsna prepare`.
            folds: The table image_id, fold. Without it, the set's own `folds.csv` where there is one.

        Raises:
            InputError: Where the folder holds no finished prepared set, or the split does not fit it.
        """
        root = Path(folder)
        spec = PreparedSpec.read(root)
        if not (root / TABLE_FILE).is_file():
            raise InputError(
                f"the prepared data set {root} is not finished: it has no {TABLE_FILE}; run `rsna prepare` to its end"
                " or, for shards, `rsna prepare --merge`"
            )
        table = check_image_table(read_parquet(root / TABLE_FILE), str(root / TABLE_FILE))
        if table.empty:
            raise InputError(f"the prepared data set {root} holds no picture; see {FAILED_FILE} there")
        split = Path(folds) if folds else root / FOLDS_FILE
        if folds or split.is_file():
            table = join_folds(table, read_csv(split, FOLD_COLUMNS))
        return cls(root, spec, table)

    @property
    def finder(self) -> RegionFinder | None:
        """The detector that found the regions."""
        return RegionFinder(self.folder / DETECTOR_FILE, self.spec.detector) if self.spec.detector else None

    def read(self, path: str) -> np.ndarray:
        """Read one picture by its path in the table: (H, W) uint8 or uint16.

        Raises:
            ImageError: Where the picture cannot be read.
            InputError: Where the path leaves the set.
        """
        return read_png(inside(self.folder, path))


def read_pictures(prepared: PreparedSet, table: pd.DataFrame, threads: int = 2) -> Iterator[np.ndarray]:
    """Yield the pictures of a table's rows in their order, (H, W) uint8 or uint16, a few read ahead by threads.

    Raises:
        ImageError: Where a picture cannot be read; a prepared set without all its pictures is broken.
    """
    waiting: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for path in table["path"]:
            waiting.append(pool.submit(prepared.read, path))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
