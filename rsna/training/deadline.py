"""Stopping in time: a session that is ended from outside may keep nothing of what it wrote."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from rsna.errors import Unfinished


class Deadline(Callback):
    """Ends a training after the epoch behind which another one would not fit.

    An epoch that takes longer than those before it is broken off at the deadline; it is then trained again from its
    beginning. One object serves the folds of a run one after the other, so that a fold knows how long its epochs take.

    Args:
        at: When to be done, as of `time.time()`.
    """

    def __init__(self, at: float) -> None:
        self.at = at
        self.reached = False
        self._longest = self._begun = 0.0

    def check(self, what: str) -> None:
        """Raise `Unfinished` where there is no time left to begin something."""
        if time.time() + self._longest > self.at:
            raise Unfinished(f"no time is left for {what}")

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Note when the epoch began."""
        self._begun = time.time()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Break off an epoch that has become too long; with several processes they could not agree on the step."""
        if trainer.world_size == 1 and time.time() > self.at:
            raise Unfinished(f"the time was over in the midst of epoch {trainer.current_epoch}")

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Stop if another epoch, as long as the longest so far, would end too late."""
        now = time.time()
        self._longest = max(self._longest, now - self._begun)
        is_last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if not is_last and trainer.strategy.reduce_boolean_decision(now + self._longest > self.at, all=False):
            self.reached = trainer.should_stop = True
