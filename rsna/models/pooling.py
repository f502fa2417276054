"""Global pooling over the places of a feature map, whichever way round a backbone gives it."""

from __future__ import annotations

import torch
from torch import nn

from rsna.errors import InputError

EPSILON = 1e-6  # keeps the root of GeM differentiable at zero


class GlobalPool(nn.Module):
    """Features at many places become one vector.

    `avg` and `max` are what they say; `avgmax` is the mean of the two and `concat` has both, side by side; `gem` is the
    generalised mean with a learnable exponent that starts at 3 (Radenović et al., arXiv:1711.02512), between the
    average (1) and the maximum (infinity); `gem_channel` learns one exponent per feature.

    Attributes:
        outputs: Length of the vector.
    """

    def __init__(self, name: str, features: int = 1) -> None:
        """Make a pooling.

        Args:
            name: `avg`, `max`, `avgmax`, `concat`, `gem` or `gem_channel`.
            features: How many there are at each place, F.

        Raises:
            InputError: For another name.
        """
        super().__init__()
        pools = ("avg", "max", "avgmax", "concat", "gem", "gem_channel")
        if name not in pools:
            raise InputError(f"unknown pooling {name!r}; known: {', '.join(pools)}")
        self.name = name
        self.outputs = 2 * features if name == "concat" else features
        if name.startswith("gem"):
            self.exponent = nn.Parameter(torch.full((features,) if name == "gem_channel" else (), 3.0))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Pool (B, places, F) to (B, F); `concat` gives (B, 2 F)."""
        if self.name.startswith("gem"):
            return self._gem(features)
        return getattr(self, f"_{self.name}")(features)

    def _avg(self, features: torch.Tensor) -> torch.Tensor:
        return features.mean(1)

    def _max(self, features: torch.Tensor) -> torch.Tensor:
        return features.amax(1)

    def _avgmax(self, features: torch.Tensor) -> torch.Tensor:
        return (features.mean(1) + features.amax(1)) / 2

    def _concat(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat([features.mean(1), features.amax(1)], dim=1)

    def _gem(self, features: torch.Tensor) -> torch.Tensor:
        powers = features.float().clamp(min=EPSILON) ** self.exponent  # a third power overflows half precision
        return (powers.mean(1) ** (1 / self.exponent)).to(features.dtype)
