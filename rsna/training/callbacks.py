"""What happens around the steps: seeds, learning rates, metrics, the weights that are kept, the checkpoint."""

from __future__ import annotations

import logging
import math
from typing import Any

import lightning.pytorch as pl
import pandas as pd
from lightning.pytorch.callbacks import Callback, Checkpoint
from torch import nn

from rsna.config.training import TrainerSpec
from rsna.errors import RsnaError
from rsna.io import atomic_path
from rsna.models import save_weights
from rsna.tables import write_csv
from rsna.tracking import Tracker
from rsna.training.folder import RunFolder
from rsna.training.history import History
from rsna.training.module import TrainingModule
from rsna.training.report import Report
from rsna.training.schedule import Schedule
from rsna.training.seeds import seed_everything

logger = logging.getLogger(__name__)


class Seeds(Callback):
    """Seeds every epoch by its number, so that a resumed epoch draws what it would have drawn."""

    def __init__(self, *parts: int) -> None:
        self.parts = parts

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Seed dropout and the like."""
        seed_everything(*self.parts, trainer.current_epoch, trainer.global_rank)


class LearningRates(Callback):
    """Sets every group's learning rate before each step."""

    def __init__(self, schedule: Schedule, history: History) -> None:
        self.schedule, self.history = schedule, history

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Scale the groups' initial rates."""
        factor = self.schedule.factor(trainer.current_epoch, trainer.global_step, self.history.scores)
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = group["initial_lr"] * factor


class Recorder(Callback):
    """Evaluates every epoch, keeps the best weights and the history, stops when nothing gets better.

    Args:
        spec: The trainer's.
        folder: Where the weights and the history go.
        history: Is filled.
        report: Makes the metrics.
        tracker: Is told them.
    """

    def __init__(
        self, spec: TrainerSpec, folder: RunFolder, history: History, report: Report, tracker: Tracker
    ) -> None:
        self.spec, self.folder, self.history, self.report, self.tracker = spec, folder, history, report, tracker

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """A run that was killed between its last epoch and its end has nothing left to train."""
        self._stop_if_stale(trainer)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Score the epoch; keep the weights if it is the best so far."""
        assert isinstance(module, TrainingModule)
        epoch = trainer.current_epoch
        probabilities, loss = module.take_validation()
        losses = {"train/loss": module.take_training_loss(), "val/loss": loss}
        if not all(map(math.isfinite, losses.values())):
            raise RsnaError(
                f"training diverged in epoch {epoch}: {losses}; lower optimizer.lr, set trainer.clip, or use another"
                " trainer.precision"
            )
        rates = {f"lr/{group['name']}": float(group["lr"]) for group in trainer.optimizers[0].param_groups}
        predictions = self.report.predictions(probabilities, epoch)
        self.history.rows.append({"epoch": epoch, **rates, **losses, **self.report.metrics(predictions)})
        if trainer.is_global_zero:
            self._keep(module, predictions)
        self._stop_if_stale(trainer)

    def state_dict(self) -> dict[str, Any]:
        """The history, for the checkpoint."""
        return {"rows": self.history.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The history of the epochs before the checkpoint."""
        self.history.rows[:] = state_dict["rows"]

    def _keep(self, module: TrainingModule, predictions: pd.DataFrame) -> None:
        row = self.history.rows[-1]
        epoch = int(row["epoch"])
        if self.history.best == epoch:
            save_weights(module.judged, self.folder.weights)
        if self.spec.last_weights:
            save_weights(module.judged, self.folder.last_weights)
        if self.spec.tables or self.spec.keep.some:
            self.report.write_tables(self.folder, predictions, epoch)
        self._keep_epochs(module.judged, epoch)
        write_csv(self.folder.history, pd.DataFrame(self.history.rows))
        self.tracker.log_metrics({name: value for name, value in row.items() if name != "epoch"}, epoch)
        monitor, best = self.history.monitor, self.history.rows[self.history.best]
        logger.info(
            "epoch %d: train loss %.4f, validation loss %.4f, %s %.4f (best %.4f in epoch %d)",
            *(epoch, row["train/loss"], row["val/loss"], monitor, row[monitor], best[monitor], best["epoch"]),
        )

    def _keep_epochs(self, model: nn.Module, epoch: int) -> None:
        """Keep the weights of this epoch by the rule, and drop those of the epochs that have lost their place."""
        kept = self.spec.keep.epochs(self.history.scores)
        if epoch in kept:
            save_weights(model, self.folder.epoch_weights(epoch))
        for path in self.folder.tables.glob("*.safetensors"):
            if path not in {self.folder.epoch_weights(number) for number in kept}:
                path.unlink()

    def _stop_if_stale(self, trainer: pl.Trainer) -> None:
        if self.spec.patience and self.history.waited >= self.spec.patience:
            trainer.should_stop = True


class EpochCheckpoint(Checkpoint):
    """Writes `last.ckpt` when an epoch is over, never within: Lightning cannot take up an epoch in its middle."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the checkpoint atomically. Lightning runs this hook after those of all other callbacks."""
        if not trainer.is_global_zero:  # takes part and writes nothing; an empty file must not replace the good one
            trainer.save_checkpoint(self.folder.checkpoint)
            return
        with atomic_path(self.folder.checkpoint) as part:
            trainer.save_checkpoint(part)
