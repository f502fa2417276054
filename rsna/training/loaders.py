"""The data of a fold as Lightning wants it."""

from __future__ import annotations

import os
from math import ceil
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch
from torch.utils.data import DataLoader

from rsna.competitions.splits import check_sides
from rsna.config.training import TrainConfig
from rsna.data.dataset import ImageDataset, Transform, init_worker
from rsna.training.augmentation import create_augmentation
from rsna.training.auxiliary import auxiliary_targets, create_tasks
from rsna.training.sampler import EpochBatches, EpochPlan
from rsna.training.split import Split

MAX_WORKERS = 8  # per device; more than this wait for the disk


class FoldData(pl.LightningDataModule):
    """The loaders of a fold, made when the trainer asks: only then does a process know its rank.

    Attributes:
        plan: The training batches of every epoch.
    """

    def __init__(self, config: TrainConfig, split: Split) -> None:
        """Plan the epochs of a fold.

        Raises:
            InputError: Where resampling would put an image on both sides, or balanced batches have no positive.
        """
        super().__init__()
        self.config, self.split = config, split
        positive, devices = split.positive(split.train), config.trainer.processes
        self.plan = EpochPlan(positive, config.sampler, config.trainer.batch_size, config.seed, devices)
        self._rows = split.train.iloc[self.plan.rows].reset_index(drop=True)
        check_sides(self._rows, split.validation)  # once more, now that the training side is resampled
        tasks = create_tasks(config.auxiliary, split.train)
        self._auxiliary = auxiliary_targets(tasks, split.train, positive)[self.plan.rows]

    @property
    def steps(self) -> int:
        """Optimiser steps per epoch."""
        return ceil(self.plan.count / self.config.trainer.processes / self.config.trainer.accumulation)

    def train_dataloader(self) -> DataLoader:
        """The batches of the current epoch, augmented."""
        transform = create_augmentation(self.config.augmentation)
        dataset = self._dataset(self._rows, transform, draw_views=True, auxiliary=self._auxiliary)
        trainer = self.trainer
        assert trainer is not None
        batches = EpochBatches(
            self.plan, lambda: trainer.current_epoch, dataset.set_epoch, trainer.global_rank, trainer.world_size
        )
        return self._loader(dataset, batch_sampler=batches)

    def val_dataloader(self) -> DataLoader:
        """The validation images in their order, as they are."""
        return self._loader(self._dataset(self.split.validation), batch_size=self.config.trainer.batch_size)

    def _dataset(self, rows: pd.DataFrame, transform: Transform | None = None, **learning: Any) -> ImageDataset:
        config, folder = self.config, self.split.prepared.folder
        how = (transform, config.seed, config.model.views)
        return ImageDataset(folder, rows, config.data.input, self.split.targets, *how, **learning)

    def _loader(self, dataset: ImageDataset, **batching: Any) -> DataLoader:
        gpu = uses_gpu(self.config)
        workers = count_workers(self.config.env.workers, gpu)
        return DataLoader(
            dataset,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=init_worker,
            pin_memory=gpu,
            generator=torch.Generator(),  # its own: a new iterator must not advance the one that dropout draws from
            **batching,
        )


def uses_gpu(config: TrainConfig) -> bool:
    """Whether the training will run on a GPU."""
    return config.trainer.accelerator != "cpu" and torch.cuda.is_available()


def count_workers(wanted: int, gpu: bool) -> int:
    """Loading processes per loader: as wanted, or for -1 one per core for a GPU, none where the cores train."""
    if wanted >= 0:
        return wanted
    return min(os.cpu_count() or 1, MAX_WORKERS) if gpu else 0
