"""What of a backbone is not trained."""

from __future__ import annotations

from typing import Any

from timm.models import group_parameters
from torch import nn

from rsna.config import FreezeSpec
from rsna.errors import InputError

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


class Freezer:
    """Freezes parts of a backbone for good, and all of it for as long as it is told.

    Args:
        backbone: A timm model.
        spec: What to freeze.

    Raises:
        InputError: Where the backbone does not tell its stages, or has no more than those to be frozen.
    """

    def __init__(self, backbone: Any, spec: FreezeSpec) -> None:
        self.backbone = backbone
        self._epochs, self._whole = spec.epochs, False
        self._for_good = _stage_parameters(backbone, spec.stages)
        if spec.norms:
            self._for_good |= _norm_parameters(backbone)
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_(name not in self._for_good)
        self._held = [module for module in backbone.modules() if _is_norm(module) and self._is_still(module, spec)]

    def begin_epoch(self, epoch: int) -> None:
        """Freeze what is frozen in this epoch, from 0; `train()` must follow."""
        self._whole = epoch < self._epochs
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(not self._whole and name not in self._for_good)

    def quieten(self) -> None:
        """Put frozen norms into evaluation mode, so that their statistics stay; `train()` has just undone that."""
        if self._whole:
            self.backbone.eval()
        for module in self._held:
            module.eval()

    def _is_still(self, norm: nn.Module, spec: FreezeSpec) -> bool:
        parameters = list(norm.parameters())
        return spec.norms or (bool(parameters) and not any(parameter.requires_grad for parameter in parameters))


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, NORMS)


def _norm_parameters(backbone: nn.Module) -> set[str]:
    return {
        f"{prefix}.{name}".lstrip(".")
        for prefix, module in backbone.named_modules()
        if _is_norm(module)
        for name, _ in module.named_parameters(recurse=False)
    }


def _stage_parameters(backbone: Any, stages: int) -> set[str]:
    """The names of the parameters in the stem and the stages that follow, `stages` in all, in timm's own grouping."""
    if not stages:
        return set()
    if not hasattr(backbone, "group_matcher"):
        raise InputError("model.freeze.stages: this backbone does not tell its stages; use model.freeze.epochs")
    groups: dict[int, list[str]] = group_parameters(backbone, backbone.group_matcher(coarse=True))
    if stages >= len(groups):
        raise InputError(f"model.freeze.stages={stages}: the backbone has {len(groups)} parts, and one must be trained")
    return {name for group in sorted(groups)[:stages] for name in groups[group]}
