"""How good a detector is: its average precision, and what its regions lose that thresholding keeps."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsna.config import RoiSpec
from rsna.errors import InputError
from rsna.imaging import Region
from rsna.imaging.detector import Detection, RegionDetector
from rsna.log import progress
from rsna.preparation.boxes import COLUMNS, SIDES, read_boxes
from rsna.preparation.detection.files import list_images, load_thumbnails
from rsna.preparation.detection.precision import average_precision, coco_evaluator
from rsna.preparation.detection.regions import Losses, compare_losses, find_regions, with_margin
from rsna.tables import read_csv

BATCH = 32  # images
ROI = RoiSpec()  # thresholding, with the margin and the least area of the group `roi`

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        precision: `ap`, `ap50`, `ap75`.
        images: How many had a true box.
        distrusted: How many of them `rsna prepare` would leave to thresholding.
        detector: What the detector's regions lose, if lesions were given.
        threshold: What thresholding's regions lose.
    """

    precision: dict[str, float]
    images: int
    distrusted: int
    detector: Losses | None = None
    threshold: Losses | None = None


@dataclass(frozen=True)
class Truth:
    """What is known of images.

    Attributes:
        files: The images that have a true box, by id.
        boxes: Their true boxes.
        lesions: The table of what must not be lost, or None.
    """

    files: dict[str, Path]
    boxes: dict[str, Region]
    lesions: Path | None = None


def read_truth(images: Path, boxes: Path, lesions: Path | None = None) -> Truth:
    """Match a table of true boxes and the images below a folder; images without a box are left alone.

    Args:
        images: The folder.
        boxes: As `rsna data boxes` makes it.
        lesions: Further boxes, any number per image: the same columns, and others.

    Raises:
        InputError: For a wrong table, and where no image has a box.
    """
    table = read_boxes(boxes)[["name", *SIDES]]
    regions = {name: Region(*sides) for name, *sides in table.itertuples(index=False, name=None)}
    files = {name: path for name, path in list_images(images).items() if name in regions}
    if not files:
        raise InputError(
            f"no image below {images} has a box in {boxes}, which names {next(iter(regions))!r} and others"
        )
    return Truth(files, {name: regions[name] for name in files}, lesions)


def evaluate(detector: RegionDetector, truth: Truth, score: float = 0.5, workers: int = -1) -> Evaluation:
    """Compare a detector's boxes with the true ones, and its regions with thresholding's.

    Args:
        detector: What is evaluated.
        truth: On which images.
        score: A box of less is distrusted, as `box_score` of `rsna prepare`.
        workers: Processes that decode; -1 for one per core.

    Raises:
        InputError: Where no image can be used, for a wrong table of lesions, and where pycocotools is missing.
    """
    coco_evaluator()  # before anything that takes time
    found = detect_all(detector, truth.files, workers)
    precision = average_precision([truth.boxes[name] for name in found], list(found.values()))
    trusted = {
        name: with_margin(one.region, ROI.margin)
        for name, one in found.items()
        if one is not None and one.score >= score and one.region.area >= ROI.min_area
    }
    result = precision, len(found), len(found) - len(trusted)
    if truth.lesions is None:
        return Evaluation(*result)
    lesions = read_csv(truth.lesions, COLUMNS, extra=True)
    affected = {name: truth.files[name] for name in lesions["name"].unique() if name in found}
    thresholded = find_regions(affected, ROI, workers)
    lesions = lesions[lesions["name"].isin(list(thresholded))]
    return Evaluation(*result, *compare_losses(lesions, {**thresholded, **trusted}, thresholded))


def detect_all(detector: RegionDetector, files: dict[str, Path], workers: int) -> dict[str, Detection | None]:
    """The best box of each image by id; an image that cannot be used is left out, with a warning.

    Raises:
        InputError: Where none can be used.
    """
    found: dict[str, Detection | None] = {}
    batch: dict[str, np.ndarray] = {}
    outcomes = progress(load_thumbnails(files.values(), workers), "detect", len(files))
    for name, outcome in zip(files, outcomes, strict=True):
        if outcome.error is not None:
            logger.warning("left out: %s: %s", outcome.task, outcome.error)
            continue
        batch[name] = outcome.value
        if len(batch) == BATCH:
            found |= zip(batch, detector.detect(list(batch.values())), strict=True)
            batch = {}
    found |= zip(batch, detector.detect(list(batch.values())), strict=True)
    if not found:
        raise InputError(f"none of {len(files)} images could be used")
    return found
