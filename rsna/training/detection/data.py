"""What the detector learns from: thumbnails on disk, true boxes, and which patients are held out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rsna.config.detector import DetectConfig
from rsna.errors import InputError, RsnaError
from rsna.imaging import DecodePool, Region, read_png
from rsna.imaging.detector import letterbox, to_pixels
from rsna.imaging.load import MEMORY_LIMIT, TIME_LIMIT
from rsna.io import digest, ensure_dir, file_name
from rsna.log import progress
from rsna.preparation.detection.evaluate import Truth, read_truth
from rsna.preparation.detection.thumbnail import write_thumbnail
from rsna.preparation.folder import clear_leftovers
from rsna.preparation.picture import PictureTask
from rsna.training.seeds import derive_seed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """A thumbnail (a PNG file) and the region that is to be found in it."""

    thumbnail: Path
    region: Region


def split_truth(config: DetectConfig) -> tuple[Truth, Truth]:
    """The images to learn from and those held out, with their boxes; no folder of images is on both sides.

    Raises:
        InputError: For a wrong table, no image with a box, and where one side has no image.
    """
    truth = read_truth(Path(config.images), Path(config.boxes))
    folders = {path.parent for path in truth.files.values()}
    by_patient = len(folders) > 1  # else they lie in one folder, and nothing tells the patients apart
    if not by_patient:
        logger.warning("all images lie in %s: they are split one by one, not by patient", *folders)
    held_out = {
        name
        for name, path in truth.files.items()
        if _share(config.seed, path.parent.name if by_patient else name) < config.held_out
    }
    sides = [{name: path for name, path in truth.files.items() if (name in held_out) == held} for held in (False, True)]
    if not all(sides):
        raise InputError(
            f"{len(truth.files)} images of {len(folders)} folders are too few to hold out {config.held_out:g} of them;"
            " give more, or another held_out or seed"
        )
    training, validation = (Truth(side, {name: truth.boxes[name] for name in side}) for side in sides)
    return training, validation


def _share(seed: int, key: str) -> float:
    """A number in [0, 1) that depends on the seed and the key only."""
    return int(digest([seed, key])[:13], 16) / 16**13


def make_thumbnails(truth: Truth, folder: Path, workers: int) -> list[Example]:
    """Make what thumbnails are not there yet; images that cannot be used are left out, with a warning.

    Raises:
        RsnaError: Where a thumbnail cannot be written, or none could be made.
    """
    clear_leftovers([ensure_dir(folder)])
    tasks = {name: PictureTask(path, folder / f"{file_name(name)}.png") for name, path in truth.files.items()}
    pending = [task for task in tasks.values() if not task.is_done()]
    for task in pending:
        task.target.unlink(missing_ok=True)  # of a source that has changed
    if pending:
        with DecodePool(write_thumbnail, workers, TIME_LIMIT, MEMORY_LIMIT) as pool:
            for outcome in progress(pool.map(pending), "thumbnails", len(pending)):
                if outcome.error is not None:
                    logger.warning("left out: %s: %s", outcome.task.source, outcome.error)
                elif outcome.value:
                    raise RsnaError(bytes(outcome.value).decode())
    examples = [Example(task.target, truth.boxes[name]) for name, task in tasks.items() if task.target.exists()]
    if len(examples) < 2:
        raise RsnaError(f"only {len(examples)} of {len(tasks)} images could be used")
    return examples


def batches(examples: Sequence[Example], size: int, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of an epoch: in an order, and mirrored, as the seed and the epoch say.

    Yields:
        Grey values (B, 1, 416, 416) float32 and boxes (B, 4) float32 in pixels. A last batch of one is left out.
    """
    rng = np.random.default_rng(derive_seed(seed, epoch))
    order, mirrored = rng.permutation(len(examples)), rng.random(len(examples)) < 0.5
    for first in range(0, batch_count(len(examples), size) * size, size):
        pairs = [_load(examples[i], bool(mirrored[i])) for i in order[first : first + size]]
        images, boxes = (torch.from_numpy(np.stack(parts)) for parts in zip(*pairs, strict=True))
        yield images[:, None].float(), boxes


def batch_count(examples: int, size: int) -> int:
    """How many batches an epoch has; batch norm has nothing to learn from a single image."""
    whole, rest = divmod(examples, size)
    return whole + (rest > 1)


def _load(example: Example, mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
    pixels, region = read_png(example.thumbnail), example.region
    if mirrored:
        pixels = pixels[:, ::-1]
        region = Region(1 - region.xmax, region.ymin, 1 - region.xmin, region.ymax)
    return letterbox(pixels), to_pixels(region, (pixels.shape[0], pixels.shape[1]))
