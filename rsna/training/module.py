"""The Lightning module: one training step, one validation step, the averaged weights."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.swa_utils import AveragedModel

from rsna.config.training import EmaSpec, SwaSpec
from rsna.models import Classifier
from rsna.models.activation import to_probabilities
from rsna.models.auxiliary import AuxiliaryHeads

NO_SWA = SwaSpec()
Batch = dict[str, torch.Tensor]


class TrainingModule(pl.LightningModule):
    """A model in training, with the average of its weights as a part of it, so that checkpoints hold both.

    Attributes:
        model: What is trained: (B, V, C, H, W) to logits (B, T).
        ema: The moving average of its parameters and buffers, or None.
    """

    def __init__(
        self,
        model: Classifier,
        loss: nn.Module,
        optimizer: torch.optim.Optimizer,
        ema: EmaSpec,
        swa: SwaSpec = NO_SWA,
        heads: AuxiliaryHeads | None = None,
    ) -> None:
        """Prepare a model for training.

        Args:
            model: Is trained in place.
            loss: Of logits (B, T) and targets (B, T).
            optimizer: Over the model's parameters, and the loss's and the heads' where they have some.
            ema: How to average the weights.
            swa: From which epoch on to take their mean instead.
            heads: Auxiliary heads on the model's features, which are trained with it and not kept.
        """
        super().__init__()
        self.model, self.loss, self.heads, self._optimizer = model, loss, heads, optimizer
        self._swa_start = swa.start
        self.swa = None if swa.start is None else AveragedModel(model, use_buffers=True).requires_grad_(False)
        self.ema = ModelEmaV3(model, decay=ema.decay, use_warmup=ema.warmup) if ema.decay else None
        if self.ema is not None:
            self.ema.requires_grad_(False)
        self._outputs: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._losses: list[torch.Tensor] = []

    @property
    def judged(self) -> nn.Module:
        """The model that is validated, kept and submitted: the average, if there is one."""
        if self.swa is not None and self.swa.n_averaged > 0:
            return self.swa.module
        return self.model if self.ema is None else self.ema.module

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser; its learning rates are set by `rsna.training.callbacks.LearningRates`."""
        if self.device.type == "cpu" and "fused" in self._optimizer.defaults:
            for group in self._optimizer.param_groups:  # a third of the time; on a GPU torch chooses well by itself
                group["fused"] = True
        return self._optimizer

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """The loss of a batch: `image` (B, V, C, H, W), `target` (B, T), `auxiliary` (B, A)."""
        features = self.model.features(batch["image"])
        loss = self.loss(self.model.classify(features), batch["target"])
        if self.heads is not None:
            loss = loss + self.heads.loss(features, batch["auxiliary"])
        self._losses.append(loss.detach())  # read once an epoch: reading waits for the device
        return loss

    def on_train_epoch_start(self) -> None:
        """Freeze what is frozen in this epoch."""
        if self.model.freezer:
            self.model.freezer.begin_epoch(self.current_epoch)
            self.model.train()

    def on_validation_epoch_start(self) -> None:
        """Take the epoch's last weights into their mean, which is then validated."""
        if self.swa is not None and self._swa_start is not None and self.current_epoch >= self._swa_start:
            self.swa.update_parameters(self.model)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then follow with the average."""
        super().optimizer_step(*args, **kwargs)
        if self.ema is not None:
            self.ema.update(self.model, step=self.global_step)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the logits and the targets of a batch until the end of the epoch."""
        self._outputs.append((self.judged(batch["image"]).float(), batch["target"]))

    def take_training_loss(self) -> float:
        """The mean loss of the batches since it was last asked for."""
        losses, self._losses = self._losses, []
        return float(torch.stack(losses).mean()) if losses else float("nan")

    def take_validation(self) -> tuple[np.ndarray, float]:
        """Probabilities (N, T) of the validation images in their order, and the loss over all of them."""
        outputs, self._outputs = self._outputs, []
        logits, targets = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        return to_probabilities(logits, self.model.activation).cpu().numpy(), float(self.loss(logits, targets))
