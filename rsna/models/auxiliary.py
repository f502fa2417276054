"""Further heads that only help to learn: they share the features, add to the loss, and are not kept."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from rsna.config.learning import AuxiliarySpec
from rsna.models.losses import BinaryCrossEntropy, mean_known


class AuxiliaryHeads(nn.Module):
    """One linear head per entry of the config's `auxiliary`.

    Args:
        specs: By name, in the order of the targets' columns.
        outputs: How many logits each head has: 1, or its number of classes.
        features: Length of the vector that they sit on, F.
        dropout: Before each head.
    """

    def __init__(
        self, specs: Mapping[str, AuxiliarySpec], outputs: Mapping[str, int], features: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.specs = dict(specs)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(features, outputs[name]) for name in specs})

    def forward(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        """The logits (B, outputs) of every head on features (B, F)."""
        return {name: head(self.dropout(features)) for name, head in self.heads.items()}

    def loss(self, features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The weighted sum of the heads' losses, a scalar, on features (B, F) and targets (B, A), NaN where unknown."""
        logits = self(features)
        losses = [
            spec.weight * auxiliary_loss(spec.loss, logits[name], targets[:, index])
            for index, (name, spec) in enumerate(self.specs.items())
        ]
        return torch.stack(losses).sum()


def auxiliary_loss(name: str, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean loss `bce`, `mse` or `ce`, a scalar, over the known of the targets (B,); 0 where none is known.

    Args:
        name: Of the loss.
        logits: (B, 1), or (B, classes) for `ce`.
        targets: Values, or the numbers of the classes; NaN where unknown.
    """
    if name == "ce":
        classes = targets.nan_to_num().long()
        return mean_known(functional.cross_entropy(logits.float(), classes, reduction="none"), targets)
    values = logits[:, 0].float()
    if name == "mse":
        return mean_known((values - targets.nan_to_num()) ** 2, targets)
    return BinaryCrossEntropy().to(values.device)(values, targets)
