"""Trials before a training: which learning rate, which batch size."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from lightning.fabric import Fabric
from lightning.pytorch.callbacks import Callback

from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.plots.style import saved_figure
from rsna.training.fit import create_trainer, quiet
from rsna.training.loaders import FoldData
from rsna.training.run import build_module
from rsna.training.split import list_folds, load_split

SMOOTHING = 0.9  # of the losses, like an average over the last ten
BLOWN_UP = 4.0  # the search ends where the loss is so many times its lowest
WORTH_IT = 0.95  # the smallest batch with this share of the best throughput is suggested
LARGEST_BATCH = 1024


@dataclass(frozen=True)
class Finding:
    """What a search found.

    Attributes:
        trials: One row per trial.
        suggestion: The value to use, None where the trials do not say.
    """

    trials: pd.DataFrame
    suggestion: float | None


class RateSweep(Callback):
    """Raises the learning rate exponentially from step to step and keeps the losses.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186, section 3.3.
    """

    def __init__(self, rates: np.ndarray) -> None:
        self.rates, self.losses = rates, list[float]()

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the rate of this step. The head keeps its ratio to the backbone."""
        groups = trainer.optimizers[0].param_groups
        for group in groups:
            group["lr"] = group["initial_lr"] / groups[0]["initial_lr"] * self.rates[trainer.global_step]

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the smoothed loss; stop where it has blown up."""
        loss = float(outputs["loss"])
        self.losses.append(SMOOTHING * self.losses[-1] + (1 - SMOOTHING) * loss if self.losses else loss)
        if not np.isfinite(loss) or self.losses[-1] > BLOWN_UP * min(self.losses):
            trainer.should_stop = True


def find_learning_rate(config: TrainConfig, low: float = 1e-6, high: float = 1.0, steps: int = 100) -> Finding:
    """Train `steps` steps with a rising learning rate.

    Args:
        config: What is to be trained; accumulation is left out.
        low: The first rate.
        high: The last one, unless the loss blows up before.
        steps: Optimiser steps in all.

    Returns:
        Trials `lr`, `loss` (smoothed); the suggestion is the rate at which the loss falls most steeply.

    Raises:
        InputError: For a wrong config or range.
    """
    if not 0 < low < high or steps < 10:
        raise InputError("the rates must rise from a positive one, over at least 10 steps")
    plain = replace(config, trainer=replace(config.trainer, effective_batch=None, accumulate=1, devices=1, nodes=1))
    split = load_split(plain, _first_fold(plain))
    sweep = RateSweep(np.geomspace(low, high, steps))
    with TemporaryDirectory() as folder, quiet():
        limits = {"max_epochs": -1, "max_steps": steps, "limit_val_batches": 0, "enable_checkpointing": False}
        trainer = create_trainer(plain, Path(folder), [sweep], **limits)
        trainer.fit(build_module(plain, split), datamodule=FoldData(plain, split))
    trials = pd.DataFrame({"lr": sweep.rates[: len(sweep.losses)], "loss": sweep.losses})
    return Finding(trials, _steepest(trials[np.isfinite(trials["loss"])]))


def _steepest(trials: pd.DataFrame) -> float | None:
    """The rate where the loss falls most per factor of the rate, before its minimum."""
    falling = trials.iloc[: int(trials["loss"].argmin()) + 1] if len(trials) else trials
    if len(falling) < 3:
        return None
    slopes = np.gradient(falling["loss"].to_numpy(), np.log(falling["lr"].to_numpy()))
    return float(falling["lr"].iloc[int(np.argmin(slopes))])


def find_batch_size(config: TrainConfig, largest: int = LARGEST_BATCH) -> Finding:
    """Time training steps on noise with 1, 2, 4, … images, until the memory is full or larger batches gain nothing.

    Args:
        config: What is to be trained.
        largest: Images in the largest batch to try.

    Returns:
        Trials `batch_size`, `images_per_second`, `memory_mb` (of a GPU, else NaN); the suggestion is the smallest batch
        that trains nearly as many images per second as the best.

    Raises:
        InputError: For a wrong config, and where not even one image fits.
    """
    trial = StepTimer(config)
    rows: list[dict[str, float]] = []
    size = 1
    while size <= largest and not _saturated([row["images_per_second"] for row in rows]):
        try:
            rows.append(trial.run(size))
        except (torch.OutOfMemoryError, MemoryError):
            break
        size *= 2
    if not rows:
        raise InputError("not even one image fits into the memory; lower data.input.height and width, or the model")
    trials = pd.DataFrame(rows).astype({"batch_size": int})
    enough = trials["images_per_second"] >= WORTH_IT * trials["images_per_second"].max()
    return Finding(trials, int(trials.loc[enough, "batch_size"].iloc[0]))


class StepTimer:
    """Runs training steps of a config on noise.

    Args:
        config: The model, its input and where it runs.
    """

    def __init__(self, config: TrainConfig) -> None:
        split = load_split(config, _first_fold(config))
        module = build_module(config, split)
        with quiet():
            self.fabric = Fabric(accelerator=config.trainer.accelerator, devices=1, precision=config.trainer.precision)
            self.model, self.optimizer = self.fabric.setup(module.model, module.configure_optimizers())
        self.loss = self.fabric.to_device(module.loss)
        size = (config.data.input.channels, config.data.input.height, config.data.input.width)
        self.shape = (config.model.views.count, *size)
        self.outputs = len(split.targets)

    def run(self, size: int, steps: int = 3) -> dict[str, float]:
        """One row of trials, of `steps` steps after a first one that warms up.

        Raises:
            torch.OutOfMemoryError: Where the batch does not fit on a GPU; `MemoryError` for a CPU.
        """
        device = self.fabric.device
        images = torch.randn(size, *self.shape, device=device)
        targets = torch.zeros(size, self.outputs, device=device)
        self._step(images, targets)
        start = time.perf_counter()
        for _ in range(steps):
            self._step(images, targets)
        seconds = time.perf_counter() - start
        memory = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else float("nan")
        return {"batch_size": size, "images_per_second": steps * size / seconds, "memory_mb": memory}

    def _step(self, images: torch.Tensor, targets: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        loss = self.loss(self.model(images), targets)
        self.fabric.backward(loss)
        self.optimizer.step()
        loss.item()  # waits for the device


def plot_finding(finding: Finding, path: Path) -> None:
    """Draw the first column of the trials against the second, with the suggestion as a line."""
    x, y = finding.trials.columns[:2]
    with saved_figure(path) as (axes,):
        axes.plot(finding.trials[x], finding.trials[y], marker="o", markersize=3)
        axes.set(xscale="log", xlabel=x, ylabel=y, title=f"{y} by {x}".replace("_", " "))
        if finding.suggestion is not None:
            axes.axvline(finding.suggestion, linestyle="--", color="grey")


def _saturated(speeds: list[float]) -> bool:
    """Whether the last two doublings brought nothing."""
    return len(speeds) > 2 and max(speeds[-2:]) * WORTH_IT < max(speeds[:-2])


def _first_fold(config: TrainConfig) -> int:
    return list_folds(config)[0] if config.fold == "all" else config.fold
