"""Optimisers by name, with the head's own learning rate and no weight decay on biases and norms."""

from __future__ import annotations

from typing import Any

import timm.optim
import torch
from torch import nn

from rsna.config.training import OptimizerSpec
from rsna.errors import InputError


def create_optimizer(model: nn.Module, spec: OptimizerSpec, *others: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a spec over a model with a `backbone`, and over what else learns: further heads, a loss.

    Every group has a `name` (`backbone` or `head`) and an `initial_lr`, which the schedule scales.

    Raises:
        InputError: For an unknown optimiser or an option that it does not take.
    """
    known = timm.optim.list_optimizers()
    if spec.name not in known:
        raise InputError(f"optimizer.name: unknown optimiser {spec.name!r}; known: {', '.join(known)}")
    try:
        return timm.optim.create_optimizer_v2(
            parameter_groups(model, spec, *others),
            opt=spec.name,
            lr=spec.lr,
            weight_decay=spec.weight_decay,
            **spec.options,
        )
    except (TypeError, ValueError, AssertionError) as error:
        raise InputError(f"optimizer {spec.name} does not take these options: {error}") from error


def parameter_groups(model: nn.Module, spec: OptimizerSpec, *others: nn.Module) -> list[dict[str, Any]]:
    """Up to four groups: backbone and the rest, each with and without weight decay (what has fewer than two axes)."""
    named = [*model.named_parameters(), *(named for other in others for named in other.named_parameters())]
    rates = {"backbone": spec.lr, "head": spec.lr if spec.head_lr is None else spec.head_lr}
    groups: dict[tuple[str, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            part = "backbone" if name.startswith("backbone.") else "head"
            groups.setdefault((part, spec.weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return [
        {"params": parameters, "name": part, "lr": rates[part], "initial_lr": rates[part], "weight_decay": decay}
        for (part, decay), parameters in groups.items()
    ]
