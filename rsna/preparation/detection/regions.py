"""What regions lose: lesions, or any boxes, that lie outside them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.config import ImagingSpec, RoiSpec
from rsna.imaging import DecodePool, Region, load_steps
from rsna.imaging.detector import SIZE
from rsna.imaging.load import MEMORY_LIMIT, TIME_LIMIT
from rsna.log import progress
from rsna.preparation.boxes import SIDES

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Losses:
    """What one method's regions leave out.

    Attributes:
        lesions: How many there are.
        lost: Of those, how many have their centre outside the region.
        cut: How many are not wholly inside it.
        lost_alone: How many of the lost ones the other method's region keeps.
        cut_alone: How many of the cut ones are wholly inside the other method's region.
    """

    lesions: int
    lost: int
    cut: int
    lost_alone: int
    cut_alone: int


def compare_losses(lesions: pd.DataFrame, ours: dict[str, Region], theirs: dict[str, Region]) -> tuple[Losses, Losses]:
    """What each of two methods loses of the same lesions.

    Args:
        lesions: `name` and the sides in fractions of the image's.
        ours: The regions of one method, by image id.
        theirs: Those of the other.
    """
    kept, other = _kept(lesions, ours), _kept(lesions, theirs)
    return _losses(kept, other), _losses(other, kept)


def _kept(lesions: pd.DataFrame, regions: dict[str, Region]) -> np.ndarray:
    """Whether the regions hold each lesion's centre, and all of it: (N, 2) bool."""
    boxes = lesions[SIDES].to_numpy(np.float64)
    limits = np.array([[getattr(regions[name], side) for side in SIDES] for name in lesions["name"]]).reshape(-1, 4)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    centre = ((centres >= limits[:, :2]) & (centres <= limits[:, 2:])).all(axis=1)
    whole = ((boxes[:, :2] >= limits[:, :2]) & (boxes[:, 2:] <= limits[:, 2:])).all(axis=1)
    return np.stack([centre, whole], axis=1)


def _losses(kept: np.ndarray, other: np.ndarray) -> Losses:
    (lost, cut), (lost_alone, cut_alone) = (~kept).sum(axis=0), (~kept & other).sum(axis=0)
    return Losses(len(kept), int(lost), int(cut), int(lost_alone), int(cut_alone))


def with_margin(region: Region, margin: float) -> Region:
    """A region as `rsna prepare` crops it: with a fraction of its sides around it, inside the image."""
    x, y = margin * (region.xmax - region.xmin), margin * (region.ymax - region.ymin)
    low = max(0.0, region.xmin - x), max(0.0, region.ymin - y)
    return Region(*low, min(1.0, region.xmax + x), min(1.0, region.ymax + y))


def find_regions(files: dict[str, Path], roi: RoiSpec, workers: int) -> dict[str, Region]:
    """The regions, with their margin, that images' own pixels tell, by image id; unusable images have none."""
    regions = {}
    with DecodePool(partial(_find_region, roi=roi), workers, TIME_LIMIT, MEMORY_LIMIT) as pool:
        for name, outcome in zip(files, progress(pool.map(files.values()), roi.method, len(files)), strict=True):
            if outcome.error is None:
                regions[name] = outcome.value
            else:
                logger.warning("left out: %s: %s", outcome.task, outcome.error)
    return regions


def _find_region(path: Path, roi: RoiSpec) -> Region:
    """The region of one image; run in a worker."""
    loaded = load_steps(path, ImagingSpec(height=SIZE, width=SIZE, roi=roi))
    box, (rows, columns) = loaded.box, loaded.image.header.shape
    return Region(box.left / columns, box.top / rows, box.right / columns, box.bottom / rows)
