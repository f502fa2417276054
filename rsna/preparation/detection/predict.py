"""From a folder of images to the table of boxes, image by image on disk: a killed run goes on where it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.errors import RsnaError
from rsna.imaging import Outcome
from rsna.imaging.detector import Detection, RegionDetector
from rsna.inference.journal import Batch, Journal
from rsna.io import digest
from rsna.log import progress
from rsna.preparation.boxes import SIDES
from rsna.preparation.detection.files import list_images, load_thumbnails
from rsna.tables import write_csv

BATCH = 32  # images
VALUES = len(SIDES) + 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictReport:
    """What `predict_boxes` did.

    Attributes:
        boxes: How many images have a box.
        without: How many have none: their region will be found in their pixels.
        failed: One row per image that could not be used: path, reason.
    """

    boxes: int
    without: int
    failed: pd.DataFrame


def predict_boxes(detector: RegionDetector, images: Path, out: Path, workers: int = -1) -> PredictReport:
    """Write the best box of every image below a folder: `name`, the sides in fractions, `score`.

    What is done is kept in `<out>.journal/` until the table is written; the same call goes on after a kill.

    Args:
        detector: Finds the boxes.
        images: The folder.
        out: The table, for `rsna prepare boxes=`.
        workers: Processes that decode; -1 for one per core.

    Raises:
        InputError: Where the folder holds no images, or two of one name.
        RsnaError: Where not a single image could be used, or another process writes the same table.
    """
    files = list_images(images)
    names, paths = list(files), list(files.values())
    key = digest([detector.digest, [str(path.relative_to(images)) for path in paths]])
    with Journal(out.with_name(out.name + ".journal"), key) as journal:
        missing = journal.missing(-(-len(paths) // BATCH))
        todo = (path for number in missing for path in paths[number * BATCH : (number + 1) * BATCH])
        rest = sum(len(paths[number * BATCH : (number + 1) * BATCH]) for number in missing)
        outcomes = iter(progress(load_thumbnails(todo, workers), "detect", rest)) if rest else iter(())
        for number in missing:
            count = len(paths[number * BATCH : (number + 1) * BATCH])
            journal.add_batch(number, _detect(detector, outcomes, number * BATCH, count))
        values, reasons = _collect(journal, len(paths))
        failed = pd.DataFrame([(str(paths[i]), why) for i, why in reasons.items()], columns=["path", "reason"])
        if len(failed) == len(paths):
            raise RsnaError(f"none of {len(paths)} images could be used; the first: {failed['reason'].iloc[0]}")
        found = np.isfinite(values).all(axis=1)
        table = pd.DataFrame(values, columns=[*SIDES, "score"]).round(6)
        table.insert(0, "name", names)
        write_csv(out, table[found])
        journal.remove()
    return PredictReport(int(found.sum()), len(paths) - int(found.sum()) - len(failed), failed)


def _detect(detector: RegionDetector, outcomes: Iterator[Outcome[Path]], first: int, count: int) -> Batch:
    """The next `count` images as a record of the journal: NaN where there is no box."""
    values = np.full((count, 1, VALUES), np.nan, np.float32)
    taken = list(islice(outcomes, count))
    usable = [i for i, outcome in enumerate(taken) if outcome.error is None]
    for i, detection in zip(usable, detector.detect([taken[i].value for i in usable]), strict=True):
        if detection is not None:
            values[i, 0] = _row(detection)
    failed = {first + i: str(outcome.error) for i, outcome in enumerate(taken) if outcome.error is not None}
    return Batch(("detector",), ("none",), values, failed)


def _row(detection: Detection) -> list[float]:
    return [*(getattr(detection.region, side) for side in SIDES), detection.score]


def _collect(journal: Journal, count: int) -> tuple[np.ndarray, dict[int, str]]:
    """All boxes (N, 5) and failures of a complete journal."""
    batches = [journal.batches[number] for number in range(-(-count // BATCH))]
    values = np.concatenate([batch.values[:, 0] for batch in batches]).astype(np.float64)
    return values, {row: why for batch in batches for row, why in batch.failed.items()}
