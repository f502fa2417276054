"""Global pooling over the places of a feature map, whichever way round a backbone gives it."""

from __future__ import annotations

import torch
from torch import nn

from rsna.errors import InputError

EPSILON = 1e-6  # keeps the root of GeM differentiable at zero


class GlobalPool(nn.Module):
    """Features at many places become one vector.

    `avg` and `max` are what they say; `avgmax` is the mean of the two; `gem` is the generalised mean with a learnable
    exponent that starts at 3 (Radenović et al., arXiv:1711.02512), between the average (1) and the maximum (infinity).
    """

    def __init__(self, name: str) -> None:
        """Make the pooling `avg`, `max`, `avgmax` or `gem`.

        Raises:
            InputError: For another name.
        """
        super().__init__()
        pools = {"avg": self._avg, "max": self._max, "avgmax": self._avgmax, "gem": self._gem}
        if name not in pools:
            raise InputError(f"unknown pooling {name!r}; known: {', '.join(pools)}")
        self.name = name
        if name == "gem":
            self.exponent = nn.Parameter(torch.tensor(3.0))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Pool (B, places, F) to (B, F)."""
        return getattr(self, f"_{self.name}")(features)

    def _avg(self, features: torch.Tensor) -> torch.Tensor:
        return features.mean(1)

    def _max(self, features: torch.Tensor) -> torch.Tensor:
        return features.amax(1)

    def _avgmax(self, features: torch.Tensor) -> torch.Tensor:
        return (features.mean(1) + features.amax(1)) / 2

    def _gem(self, features: torch.Tensor) -> torch.Tensor:
        powers = features.float().clamp(min=EPSILON) ** self.exponent  # a third power overflows half precision
        return (powers.mean(1) ** (1 / self.exponent)).to(features.dtype)
