"""Regions from a table, for instance a detector's: read strictly, used where they can be trusted.

The table has the columns `name` (an image id), `xmin`, `ymin`, `xmax`, `ymax` in fractions of the image's sides, and
optionally `score`. `rsna data boxes` makes it of other formats.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.errors import InputError
from rsna.imaging import Region
from rsna.tables import Column, read_csv

SIDES = ["xmin", "ymin", "xmax", "ymax"]
COLUMNS = (Column("name", "id"), *(Column(side, "float") for side in SIDES), Column("score", "float", required=False))
SLACK = 1e-4  # detectors and float32 overshoot by a little

logger = logging.getLogger(__name__)


def read_boxes(path: Path) -> pd.DataFrame:
    """Read a table of boxes: the best of each image, `name`, the sides clipped to [0, 1], and `score` (1 if unknown).

    Raises:
        InputError: For a missing column, a value that is no number, an empty or inverted box, and pixels or percents
            where fractions must be; names the file and the row.
    """
    return best_boxes(read_csv(path, COLUMNS), path)


def best_boxes(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Check boxes that were read from `path`, and keep the best of each image; see `read_boxes`."""
    if table.empty:
        raise InputError(f"{path} holds no boxes")
    table = table if "score" in table else table.assign(score=1.0)
    sides = table[SIDES].astype(np.float64)
    outside = ((sides < -SLACK) | (sides > 1 + SLACK)).any(axis=1)
    if outside.any():
        largest = float(sides.to_numpy().max())
        unit = "percents" if largest <= 100 and (sides % 1 != 0).any(axis=None) else "pixels"
        _refuse(
            outside,
            table,
            path,
            f"lies outside [0, 1]; boxes are fractions of the image's sides, and these look like"
            f" {unit}: convert them with `rsna data boxes {path} --size HEIGHTxWIDTH --out FILE`",
        )
    _refuse(~table["score"].between(0, 1), table, path, "has a score outside [0, 1]")
    _refuse((sides["xmin"] >= sides["xmax"]) | (sides["ymin"] >= sides["ymax"]), table, path, "is empty or inverted")
    table = table.assign(**sides.clip(0, 1))
    best = table.sort_values("score", ascending=False, kind="stable").drop_duplicates("name")
    return best.sort_index()[["name", *SIDES, "score"]].reset_index(drop=True)


def choose_regions(boxes: pd.DataFrame, images: pd.Series, score: float, area: float, where: str) -> dict[str, Region]:
    """The boxes to be trusted, by image id; where an image has none, its region is found in its pixels.

    Args:
        boxes: See `read_boxes`.
        images: The ids of the whole table of images.
        score: Boxes of less are distrusted.
        area: So are those smaller than this fraction of the image.
        where: How messages name the boxes.

    Raises:
        InputError: For a name that is no image of the table, save those of other sources (`source:id`).
    """
    known = boxes["name"].isin(set(images))
    source = _source(str(images.iloc[0]))
    strange = boxes.loc[~known & (boxes["name"].map(_source) == source), "name"]
    if len(strange) or not known.any():
        name = (strange if len(strange) else boxes["name"]).iloc[0]
        raise InputError(
            f"{where}: {name!r} is no image of the table ({(~known).sum()} of {len(boxes)} such names); a name is an"
            f" image id, for instance {images.iloc[0]!r}"
        )
    boxes = boxes[known]
    low = boxes["score"] < score
    regions = {
        name: Region(*sides) for name, *sides in boxes[~low][["name", *SIDES]].itertuples(index=False, name=None)
    }
    trusted = {name: region for name, region in regions.items() if region.area >= area}
    logger.info(
        "%s: %d of %d images have a box; %d boxes score below %g, %d are smaller than %g of the image",
        where,
        len(trusted),
        len(images),
        low.sum(),
        score,
        len(regions) - len(trusted),
        area,
    )
    return trusted


def with_regions(table: pd.DataFrame, regions: Mapping[str, Region]) -> pd.DataFrame:
    """Add `roi_xmin` ... `roi_ymax` (NaN where the region was found in the pixels) to an image table."""
    sides = [
        [getattr(regions[image], side) if image in regions else np.nan for side in SIDES] for image in table["image_id"]
    ]
    return table.join(
        pd.DataFrame(sides, index=table.index, columns=[f"roi_{side}" for side in SIDES], dtype=np.float64)
    )


def _source(name: str) -> str:
    return name.partition(":")[0] if ":" in name else ""


def _refuse(bad: pd.Series, table: pd.DataFrame, path: Path, what: str) -> None:
    if bad.any():
        row = int(bad.to_numpy().argmax())
        sides = ", ".join(f"{side}={table[side].iloc[row]:g}" for side in SIDES)
        raise InputError(f"{path}, row {row + 2}: the box {sides} of {table['name'].iloc[row]!r} {what}")
