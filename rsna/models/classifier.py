"""The classifier: any timm backbone, global pooling, the views of a sample joined, a linear head."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import timm
import torch
from torch import nn

from rsna.config import InputSpec, ModelSpec
from rsna.errors import InputError, RsnaError
from rsna.models.freezing import Freezer
from rsna.models.fusion import ViewFusion
from rsna.models.pooling import GlobalPool
from rsna.plain import MAX_SHOWN, brief


class Classifier(nn.Module):
    """Images of one sample to logits. `backbone` is timm's; what follows it is trained from nothing."""

    def __init__(self, backbone: Any, spec: ModelSpec, outputs: int) -> None:
        """Put a head of `outputs` logits on a backbone that returns its last feature map unpooled."""
        super().__init__()
        self.backbone = backbone
        self.pool = GlobalPool(spec.pool, int(backbone.head_hidden_size))
        self.fusion = ViewFusion(spec.views, self.pool.outputs)
        self.neck = _create_neck(spec.neck, self.fusion.outputs)
        self.dropout = nn.Dropout(spec.dropout)
        self.head = nn.Linear(self.fusion.outputs, outputs)
        self.activation = spec.activation
        self.freezer: Freezer | None = None

    @property
    def views(self) -> int:
        """Pictures per sample, V."""
        return self.fusion.spec.count

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, T) of images (B, V, C, H, W)."""
        return self.classify(self.features(images))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """One vector (B, F) of the views (B, V, C, H, W) of each sample, on which the heads sit."""
        maps = self.backbone(images.flatten(0, 1))  # (B * V, F, h, w), (B * V, h, w, F) or (B * V, tokens, F)
        pooled = self.pool(self._places(maps))  # (B * V, F)
        return self.neck(self.fusion(pooled.unflatten(0, images.shape[:2]), images))

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (B, T) of features (B, F)."""
        return self.head(self.dropout(features))

    def prepare(self, spec: ModelSpec) -> None:
        """Make ready for training: what is frozen, and how activations are kept.

        Raises:
            InputError: Where the backbone cannot do it.
        """
        self.freezer = Freezer(self.backbone, spec.freeze)
        if spec.checkpointing:
            try:
                self.backbone.set_grad_checkpointing(True)
            except (AttributeError, AssertionError) as error:
                raise InputError(f"model.checkpointing: {spec.backbone} does not support it") from error

    def train(self, mode: bool = True) -> Self:
        """As for any module, but what is frozen stays as in evaluation."""
        super().train(mode)
        if mode and self.freezer:
            self.freezer.quieten()
        return self

    def _places(self, features: torch.Tensor) -> torch.Tensor:
        """A feature map in the backbone's own layout as (B, places, F), class tokens left out."""
        if features.ndim == 3:
            return features[:, getattr(self.backbone, "num_prefix_tokens", 0) :]
        if getattr(self.backbone, "output_fmt", "NCHW") == "NHWC":
            return features.flatten(1, 2)
        return features.flatten(2).transpose(1, 2)


def create_model(spec: ModelSpec, input: InputSpec, outputs: int, pretrained: bool | None = None) -> Classifier:
    """Make the network of a spec.

    Args:
        spec: Which backbone, pooling, views, neck and dropout.
        input: The size and channels of its images.
        outputs: How many logits, T.
        pretrained: Overrides the spec: a bundle builds with False, since its weights come with it.

    Raises:
        InputError: For an unknown backbone, one that does not take the spec, and weights that do not fit.
        RsnaError: Where the pretrained weights cannot be fetched.
    """
    backbone = _create_backbone(spec, input.channels, spec.pretrained if pretrained is None else pretrained)
    _make_extractor(backbone, spec.backbone, (input.height, input.width))
    return Classifier(backbone, spec, outputs)


def _create_neck(name: str, features: int) -> nn.Module:
    if name == "none":
        return nn.Identity()
    norm = nn.BatchNorm1d(features)
    return nn.Sequential(norm, nn.PReLU(features)) if name == "bn_prelu" else norm


def _create_backbone(spec: ModelSpec, channels: int, pretrained: bool) -> Any:
    """The timm model with its own classifier, so that timm demands that every tensor of pretrained weights fits."""
    name = spec.backbone
    if len(name) > MAX_SHOWN or not name.isprintable() or not timm.is_model(name):  # which ignores what follows a dot
        raise InputError(f"model.backbone: timm {timm.__version__} has no {brief(name)}; see timm.list_models()")
    arguments: dict[str, Any] = {"in_chans": channels}
    if spec.drop_path:
        arguments["drop_path_rate"] = spec.drop_path
    if pretrained and spec.weights:
        arguments["pretrained_cfg_overlay"] = {"file": str(_local_weights(spec.weights))}
    try:
        return timm.create_model(spec.backbone, pretrained=pretrained, **arguments)
    except TypeError as error:
        raise InputError(f"model.backbone: {spec.backbone} does not take {', '.join(arguments)}: {error}") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise _creation_error(spec, error, pretrained) from error


def _make_extractor(backbone: Any, name: str, size: tuple[int, int]) -> None:
    """Let a timm model of images of `size` (height, width) return its last feature map."""
    try:
        backbone.reset_classifier(0, "")  # neither classifier nor pooling
    except AssertionError as error:
        raise InputError(f"model.backbone: {name} does not give its feature map ({error}); choose another") from error
    if hasattr(backbone, "set_input_size"):  # transformers with a fixed number of tokens, which timm can change
        backbone.set_input_size(img_size=size)
    elif backbone.pretrained_cfg.get("fixed_input_size") and size != tuple(backbone.pretrained_cfg["input_size"][1:]):
        height, width = backbone.pretrained_cfg["input_size"][1:]
        raise InputError(
            f"model.backbone: {name} takes images of {height}x{width} only; set data.input, or choose another"
        )


def _local_weights(weights: str) -> Path:
    path = Path(weights)
    if path.suffix != ".safetensors" or not path.is_file():
        raise InputError(f"model.weights: {weights} is not a .safetensors file of a timm model")
    return path


def _creation_error(spec: ModelSpec, error: Exception, pretrained: bool) -> RsnaError:
    reason = " ".join(str(error).split())[:300]
    if not pretrained or "Invalid pretrained tag" in reason:
        return InputError(f"model.backbone: {spec.backbone} cannot be made: {reason}")
    if spec.weights:
        return InputError(f"model.weights: {spec.weights} does not fit {spec.backbone}: {reason}")
    if "No pretrained weights exist" in reason:
        return InputError(f"model.backbone: timm has no weights for {spec.backbone}; set model.pretrained=false")
    return RsnaError(
        f"the weights of {spec.backbone} cannot be fetched: {reason}. Without a network, start from random weights with"
        " model.pretrained=false, or from a file with model.weights=FILE.safetensors"
    )
