"""From prepared pictures to the model's input: the same two steps for training, validation and submission."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

import cv2
import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from rsna.config import InputSpec, ViewsSpec
from rsna.data.table import inside
from rsna.data.views import ViewPlanner
from rsna.errors import InputError
from rsna.imaging import fit, read_png

ONE_VIEW = ViewsSpec()
Transform = Callable[[np.ndarray, int], np.ndarray]
"""An augmentation: (pixels (h, w) uint8 or uint16, seed) -> pixels of the same shape and type."""


class Item(TypedDict):
    """What `ImageDataset` yields."""

    image: torch.Tensor
    target: torch.Tensor
    auxiliary: torch.Tensor
    index: int


def to_input(pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Resize a prepared picture (H, W) to the model's (h, w), same type. The same size is passed through untouched."""
    if pixels.shape == (spec.height, spec.width):
        return pixels
    return fit(pixels, spec.height, spec.width, keep_aspect=False)


def normalise(pixels: np.ndarray, spec: InputSpec) -> torch.Tensor:
    """Scale pixels (h, w) uint8 or uint16 to [0, 1], subtract the mean, divide by the deviation: (C, h, w) float32.

    The channels share their memory.
    """
    values = pixels.astype(np.float32)
    values *= np.float32(1.0 / (np.iinfo(pixels.dtype).max * spec.std))
    values -= np.float32(spec.mean / spec.std)
    return torch.from_numpy(values).expand(spec.channels, -1, -1)


def item_seed(seed: int, epoch: int, image_id: str, draw: int = 0) -> int:
    """A seed of 63 bits that depends on nothing but its arguments, so that a resumed run augments as before.

    Args:
        seed: The run's.
        epoch: From 0.
        image_id: The image's.
        draw: Which of the image's rows it is, where resampling has repeated it.
    """
    text = f"{seed}/{epoch}/{draw}/{image_id}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def init_worker(worker: int) -> None:
    """For `DataLoader(worker_init_fn=...)`: one thread a worker, or they take each other's cores."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


class ImageDataset(Dataset[Item]):
    """The pictures of an image table as model input, one sample per row.

    An item is `image` (V, C, H, W) float32, `target` (T,) and `auxiliary` (A,) float32 with NaN where unknown, and
    `index`, its row. Partners and augmentation depend on (seed, epoch, image id) only, not on the order or the worker.
    """

    def __init__(
        self,
        folder: str | Path,
        table: pd.DataFrame,
        spec: InputSpec,
        targets: Sequence[str] = (),
        transform: Transform | None = None,
        seed: int = 0,
        views: ViewsSpec = ONE_VIEW,
        draw_views: bool = False,
        auxiliary: np.ndarray | None = None,
    ) -> None:
        """Make a dataset.

        Args:
            folder: The prepared set's.
            table: Rows of its table, possibly repeated by resampling.
            spec: The model's input.
            targets: The columns that become `target`, in this order.
            transform: Augments the resized picture, before it is normalised.
            seed: Of the augmentation.
            views: Which pictures make a sample. Partners are found among the table's own images.
            draw_views: Draw them as training does, instead of the fixed choice.
            auxiliary: Targets of the auxiliary heads, (N, A) float32, one row per row of the table.

        Raises:
            InputError: For a target or view that the table lacks, and a path that leaves the folder.
        """
        missing = [name for name in targets if name not in table]
        if missing:
            raise InputError(f"the image table lacks the column(s) {', '.join(missing)}")
        self.paths = [str(inside(folder, path)) for path in table["path"]]
        self.image_ids = table["image_id"].tolist()
        self.draws = table.groupby("image_id").cumcount().tolist()
        self.targets = torch.from_numpy(table[list(targets)].to_numpy(np.float32, copy=True))  # (N, T)
        self.auxiliary = torch.zeros(len(table), 0) if auxiliary is None else torch.from_numpy(auxiliary)  # (N, A)
        self.spec = spec
        self.transform = transform
        self.seed = seed
        self.draw_views = draw_views
        self._plan_views(table, views)
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # seen by workers that live for many epochs

    def _plan_views(self, table: pd.DataFrame, views: ViewsSpec) -> None:
        first = np.flatnonzero(~table["image_id"].duplicated())  # rows without their repetitions
        self._planner = ViewPlanner(table.iloc[first], views)
        self._first_rows = first.tolist()
        places = {self.image_ids[row]: place for place, row in enumerate(self._first_rows)}
        self._places = [places[image] for image in self.image_ids]  # of each row among the first ones

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's augmentations; call it before the epoch's iterator is made."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Item:
        """Read the pictures of one sample.

        Raises:
            ImageError: Where one cannot be read.
        """
        image, draw, epoch = self.image_ids[index], self.draws[index], int(self._epoch)
        seed = item_seed(self.seed, epoch, image, draw)
        slots = self._planner.plan(self._places[index], seed if self.draw_views else None)
        seeds = [seed, *(item_seed(self.seed, epoch, f"{image}#{view}", draw) for view in range(1, len(slots)))]
        views = [self._read(*view) for view in zip(slots, seeds, strict=True)]
        return {
            "image": views[0][None] if len(views) == 1 else torch.stack(views),  # (V, C, H, W)
            "target": self.targets[index],
            "auxiliary": self.auxiliary[index],
            "index": index,
        }

    def _read(self, place: int | None, seed: int) -> torch.Tensor:
        """One view (C, H, W); zero for one that is not there."""
        if place is None:
            return torch.zeros(self.spec.channels, self.spec.height, self.spec.width)
        pixels = to_input(read_png(self.paths[self._first_rows[place]]), self.spec)
        if self.transform is not None:
            pixels = self.transform(pixels, seed)
        return normalise(pixels, self.spec)
