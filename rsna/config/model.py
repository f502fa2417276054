"""The network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelSpec:
    """The group `model`.

    Attributes:
        backbone: Any timm model name.
        pretrained: Start from timm's weights. Ignored when a bundle is read: its weights are in the bundle.
        weights: A local safetensors file to start from instead of timm's hub.
        pool: Global pooling of the last feature map.
        dropout: Before the head.
        drop_path: Stochastic depth of the backbone, where it has it.
    """

    backbone: str = "resnet18"
    pretrained: bool = True
    weights: str | None = None
    pool: Literal["avg", "max", "gem", "avgmax"] = "avg"
    dropout: float = 0.0
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1 or not 0 <= self.drop_path < 1:
            raise ValueError("model.dropout and model.drop_path must lie in [0, 1)")
