"""Losses on logits. A target that is NaN is unknown and costs nothing."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from rsna.config.training import LossSpec


class BinaryCrossEntropy(nn.Module):
    """Mean binary cross-entropy over the known targets, with a weight on positives and soft positives.

    A target t in [0, 1], soft ones included, becomes t * (1 - smoothing): positives aim below 1 while negatives stay at
    exactly 0, as the winner of RSNA 2023 did with smoothing 0.1.
    """

    positive_weight: torch.Tensor

    def __init__(self, positive_weight: float = 1.0, positive_smoothing: float = 0.0) -> None:
        super().__init__()
        self.positive_smoothing = positive_smoothing
        self.register_buffer("positive_weight", torch.tensor(positive_weight), persistent=False)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar, of logits (B, T) and targets (B, T) in [0, 1] or NaN. 0 where none is known."""
        known = ~targets.isnan()
        aims = targets.nan_to_num() * (1 - self.positive_smoothing)
        losses = functional.binary_cross_entropy_with_logits(
            logits.float(), aims, pos_weight=self.positive_weight, reduction="none"
        )  # (B, T)
        return (losses * known).sum() / known.sum().clamp(min=1)


def create_loss(spec: LossSpec) -> nn.Module:
    """The loss that a spec names."""
    return BinaryCrossEntropy(spec.positive_weight, spec.positive_smoothing)
