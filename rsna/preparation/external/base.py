"""What an external set is, and how its rows become an image table of the breast competition."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rsna.competitions.breast import DENSITIES, Breast
from rsna.competitions.image_table import check_units
from rsna.data.table import check_image_table, inside
from rsna.errors import InputError
from rsna.preparation.picture import Reader

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NoOptions:
    """A set whose labels leave nothing to choose."""


@dataclass(frozen=True)
class ExternalSource:
    """One external set.

    `rows(raw, options)` yields one row per image: `image`, `patient`, `laterality` (L or R), `view`, `path` (below
    `raw`), `cancer` (in [0, 1], NaN where unknown), and where known `age`, `density` (A to D), `birads` (0 to 6),
    `biopsy`, `invasive`, `machine`, and `exam`, which tells an earlier examination from the one that was assessed.

    Attributes:
        name: Prefix of its ids, and its name on the command line.
        title: Its authors' name for it.
        expects: The files that it consists of, for errors.
        rows: Reads its tables.
        options: The dataclass of the choices that its labels leave.
        reader: How its files are read.
    """

    name: str
    title: str
    expects: str
    rows: Callable[[Path, Any], pd.DataFrame]
    options: type = field(default=NoOptions)
    reader: Reader = "header"

    def table(self, raw: Path, options: Any) -> pd.DataFrame:
        """The image table of the set below `raw`; paths are those of the original files.

        Raises:
            InputError: Where the layout or a table is not that of the set, none of its images is there, or a label
                contradicts another.
        """
        if not raw.is_dir():
            raise InputError(f"there is no folder {raw}; --raw names the folder of {self.title}: {self.expects}")
        try:
            rows = self.rows(raw, options)
        except LayoutError as error:
            raise InputError(f"{raw} is not laid out as {self.title}: {error}; expected {self.expects}") from error
        return image_table(keep_present(rows, raw, self.expects), self.name, str(raw))


class LayoutError(InputError):
    """A file or folder of the original layout is missing."""


def find(raw: Path, *patterns: str) -> Path:
    """The first path below `raw` that one of some glob patterns names, in their order.

    Raises:
        LayoutError: Where there is none.
    """
    for pattern in patterns:
        found = sorted(raw.glob(pattern))
        if found:
            return found[0]
    raise LayoutError(f"there is no {patterns[0]}")


def keep_present(rows: pd.DataFrame, raw: Path, expects: str) -> pd.DataFrame:
    """The rows whose file is there: a set may have been downloaded in part.

    Raises:
        InputError: Where not one is.
    """
    if rows.empty:
        raise InputError(f"{raw} has an empty table; expected {expects}")
    there = np.array([inside(raw, path).is_file() for path in rows["path"]], dtype=bool)
    lost = rows.loc[~there, "path"]
    if len(lost) == len(rows):
        raise InputError(f"{raw} has none of the {len(rows)} images of its table, for instance {lost.iloc[0]}")
    if len(lost):
        logger.warning("%d of the %d images in %s's table are not there: %s", len(lost), len(rows), raw, lost.iloc[0])
    return rows[there].reset_index(drop=True)


def image_table(rows: pd.DataFrame, source: str, where: str) -> pd.DataFrame:
    """The image table of a set's rows, with the columns of the breast competition and `source`.

    Args:
        rows: See `ExternalSource`.
        source: Prefix of all ids; empty for none.
        where: How errors name the set.

    Raises:
        InputError: For an image that is there twice, and for two labels of one breast.
    """
    prefix = f"{source}:" if source else ""
    # the views of two examinations do not belong together: each is a group of its own, which matters in training only
    group = prefix + rows["patient"] + rows.get("exam", pd.Series("", index=rows.index))
    table = pd.DataFrame(
        {
            "image_id": prefix + rows["image"],
            "group_id": group,
            "prediction_id": group + "_" + rows["laterality"],
            "path": rows["path"],
        }
    )
    known = rows.assign(
        BIRADS=_number(rows, "birads").map(screening_birads),
        density=rows["density"].map({letter: float(i) for i, letter in enumerate(DENSITIES)})
        if "density" in rows
        else np.nan,
    )
    for target in (*Breast.targets, *Breast.auxiliary):
        table[target.column] = _number(known, target.name).astype(np.float32)
    table["site_id"] = rows.get("site", pd.Series(source, index=rows.index))
    table[["laterality", "view"]] = rows[["laterality", "view"]]
    table["age"] = _number(rows, "age").astype(np.float32)
    table["implant"] = _number(rows, "implant").astype(np.float32)
    table["machine_id"] = rows.get("machine", pd.Series(source, index=rows.index))
    table["source"] = source
    check_image_table(table, where)
    check_units(table, [target.column for target in Breast.targets], where)
    return table


def screening_birads(value: float) -> float:
    """A BI-RADS assessment on the competition's scale: 0 recalled, 1 negative, 2 benign. 3 to 6 are recalls."""
    return 0.0 if value >= 3 else value


def _number(rows: pd.DataFrame, name: str) -> pd.Series:
    """A column as numbers, NaN where it is missing or holds none: it only helps to learn."""
    if name not in rows:
        return pd.Series(np.nan, index=rows.index)
    return pd.to_numeric(rows[name], errors="coerce").astype(np.float64)
