"""The features of a sample's views become one vector."""

from __future__ import annotations

import torch
from torch import nn

from rsna.config import ViewsSpec

GATE = 128  # hidden units of the attention


class ViewFusion(nn.Module):
    """Joins the features of V views, which came through one backbone.

    A view is absent where its picture is zero everywhere, which no normalised picture is: so a batch says by itself
    what is missing, and an exported model needs no second input.

    Attributes:
        outputs: Length of the joined vector.
    """

    def __init__(self, spec: ViewsSpec, features: int) -> None:
        """Make the fusion of a spec for feature vectors of length F."""
        super().__init__()
        self.spec = spec
        self.outputs = features * spec.vectors
        if spec.fusion == "attention":
            self.values = nn.Linear(features, GATE)
            self.gates = nn.Linear(features, GATE)
            self.scores = nn.Linear(GATE, 1)

    def forward(self, features: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Join features (B, V, F) of images (B, V, C, H, W) to (B, outputs)."""
        if self.spec.fusion == "concat" and self.spec.missing != "mask":
            return features.flatten(1)
        present = self._present(images)  # (B, V)
        if self.spec.fusion == "concat":
            return (features * present[..., None]).flatten(1)
        units = 2 if self.spec.layout == "patient" else 1
        parts = features.unflatten(1, (units, -1)), present.unflatten(1, (units, -1))  # (B, units, views, F)
        return self._join(*parts).flatten(1)

    def _present(self, images: torch.Tensor) -> torch.Tensor:
        if self.spec.missing != "mask":
            return torch.ones(images.shape[:2], dtype=torch.bool, device=images.device)
        return (images != 0).flatten(2).any(2)

    def _join(self, features: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Features (..., views, F) to (..., F), absent views left out; zero where all are absent."""
        weights = present[..., None].to(features.dtype)  # (..., views, 1)
        if self.spec.fusion == "mean":
            return (features * weights).sum(-2) / weights.sum(-2).clamp(min=1)
        if self.spec.fusion == "max":
            lowest = torch.finfo(features.dtype).min
            return features.masked_fill(~present[..., None], lowest).amax(-2) * weights.amax(-2)
        return (features * self._attention(features, present)).sum(-2)

    def _attention(self, features: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Weights (..., views, 1), which sum to one: gated attention (Ilse et al., arXiv:1802.04712, equation 9)."""
        scores = self.scores(self.values(features).tanh() * self.gates(features).sigmoid()).float()
        scores = scores.masked_fill(~present[..., None], torch.finfo(scores.dtype).min)
        return (scores.softmax(-2) * present[..., None]).to(features.dtype)
