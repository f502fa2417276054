"""Which parameter gets which learning rate and decay."""

from __future__ import annotations

import pytest
import torch

from rsna.config import InputSpec, ModelSpec
from rsna.config.training import OptimizerSpec
from rsna.errors import InputError
from rsna.models import create_model
from rsna.training.optimizer import create_optimizer

MODEL = create_model(ModelSpec("test_resnet", pretrained=False, pool="gem"), InputSpec(64, 32), 1)


@pytest.mark.parametrize(("head_lr", "expected"), [(None, 1e-4), (1e-3, 1e-3)])
def test_every_parameter_is_in_the_right_group(head_lr: float | None, expected: float) -> None:
    optimizer = create_optimizer(MODEL, OptimizerSpec("adamw", lr=1e-4, head_lr=head_lr, weight_decay=0.05))
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert len(groups) == len(list(MODEL.parameters()))
    for name, parameter in MODEL.named_parameters():
        group, backbone = groups[id(parameter)], name.startswith("backbone.")
        assert group["initial_lr"] == group["lr"] == (1e-4 if backbone else expected), name
        assert group["weight_decay"] == (0.05 if parameter.ndim > 1 else 0.0), name
        assert group["name"] == ("backbone" if backbone else "head")


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("adam", {"betas": [0.8, 0.9]}, torch.optim.Adam),
        ("adamw", {}, torch.optim.AdamW),
        ("sgd", {"momentum": 0.8}, torch.optim.SGD),
        ("lamb", {}, torch.optim.Optimizer),
    ],
)
def test_optimizers_by_name(name: str, options: dict[str, object], kind: type) -> None:
    optimizer = create_optimizer(MODEL, OptimizerSpec(name, options=options))
    assert isinstance(optimizer, kind)
    for key, value in options.items():
        assert list(optimizer.defaults[key]) == value if key == "betas" else optimizer.defaults[key] == value


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (OptimizerSpec("adamx"), "unknown optimiser 'adamx'.*adamw"),
        (OptimizerSpec("adamw", options={"moment": 1}), "moment"),
        (OptimizerSpec("adamw", options={"betas": [2.0, 0.9]}), "beta"),
    ],
)
def test_what_an_optimizer_does_not_take_is_an_input_error(spec: OptimizerSpec, message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_optimizer(MODEL, spec)
