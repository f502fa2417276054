"""The training loop of the detector. It goes on after the last epoch that was finished."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from timm.utils import ModelEmaV3
from torch import nn

from rsna.config.detector import DetectConfig
from rsna.errors import InputError, RsnaError
from rsna.io import atomic_path
from rsna.log import progress
from rsna.models.detector import Detector
from rsna.plain import one_line
from rsna.training.detection.data import Example, batch_count, batches
from rsna.training.optimizer import create_optimizer
from rsna.training.schedule import create_schedule
from rsna.training.seeds import seed_everything

logger = logging.getLogger(__name__)


def fit_detector(config: DetectConfig, examples: Sequence[Example], checkpoint: Path) -> nn.Module:
    """Train a detector to its end.

    Args:
        config: How.
        examples: What it learns from.
        checkpoint: Holds the state after the last finished epoch, to go on from.

    Returns:
        The network with its averaged weights.

    Raises:
        RsnaError: Where the training diverges.
    """
    seed_everything(config.seed)
    learner = _Learner(config, batch_count(len(examples), config.batch_size))
    first = learner.resume(checkpoint)
    for epoch in range(first, config.epochs):
        seed_everything(config.seed, epoch)
        loss = learner.train_epoch(examples, epoch)
        learner.save(checkpoint, epoch + 1)
        logger.info("epoch %d of %d: loss %.4f", epoch + 1, config.epochs, loss)
    return learner.ema.module


class _Learner:
    """A network, its average, and what trains them."""

    def __init__(self, config: DetectConfig, steps: int) -> None:
        self.config, self.steps = config, steps
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = Detector(config.detector).to(self.device)
        self.ema = ModelEmaV3(self.model, decay=config.ema, use_warmup=True)
        self.optimizer = create_optimizer(self.model, config.optimizer)
        self.schedule = create_schedule(config.scheduler, config.epochs, steps)

    def train_epoch(self, examples: Sequence[Example], epoch: int) -> float:
        """Train for one epoch; returns the mean loss."""
        self.model.train()
        total = 0.0
        loaded = batches(examples, self.config.batch_size, self.config.seed, epoch)
        for number, (images, boxes) in enumerate(progress(loaded, f"epoch {epoch + 1}", self.steps)):
            step = epoch * self.steps + number
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] * self.schedule.factor(epoch, step)
            losses = self.model.losses(images.to(self.device), boxes.to(self.device))
            loss = torch.stack(list(losses.values())).sum()
            if not torch.isfinite(loss):
                raise RsnaError(f"the training diverges in epoch {epoch + 1}; lower optimizer.lr")
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
            self.optimizer.step()
            self.ema.update(self.model, step=step + 1)
            total += float(loss.detach())
        return total / self.steps

    def save(self, path: Path, epochs: int) -> None:
        """Write what resuming needs."""
        state = {
            "epochs": epochs,
            "model": self.model.state_dict(),
            "ema": self.ema.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with atomic_path(path) as part:
            torch.save(state, part)

    def resume(self, path: Path) -> int:
        """Take up what is there; returns how many epochs are finished.

        Raises:
            InputError: For a file that `save` has not written.
        """
        if not path.is_file():
            return 0
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.ema.module.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, LookupError, TypeError, EOFError, UnpicklingError) as error:
            raise InputError(f"{path} is no checkpoint of this training ({one_line(error)}); delete it") from error
        logger.info("going on after epoch %d of %s", state["epochs"], path.parent)
        return int(state["epochs"])
