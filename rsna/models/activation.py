"""From logits to probabilities: one function for training, the out-of-fold predictions and a submission."""

from __future__ import annotations

import torch
from torch import nn


def activation_of(model: nn.Module) -> str:
    """Which activation a model's logits want: that of its spec, `sigmoid` where it has none."""
    return str(getattr(model, "activation", "sigmoid"))


def to_probabilities(logits: torch.Tensor, activation: str) -> torch.Tensor:
    """Probabilities (..., T), float32, of logits (..., T): each target's own, or with `softmax` shares of one."""
    values = logits.float()
    return values.softmax(dim=-1) if activation == "softmax" else values.sigmoid()
