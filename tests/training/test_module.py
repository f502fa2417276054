"""The averaged weights and what is judged."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from rsna.competitions.base import Target
from rsna.config import InputSpec, ModelSpec
from rsna.config.training import EmaSpec, LossSpec, OptimizerSpec, SwaSpec
from rsna.data.dataset import normalise, to_input
from rsna.errors import InputError
from rsna.inference import Predictor
from rsna.models import create_loss, create_model
from rsna.training.module import TrainingModule
from rsna.training.optimizer import create_optimizer
from rsna.training.run import check_loss


def make_module(ema: EmaSpec) -> TrainingModule:
    """A module around a small model with batch norm."""
    model = create_model(ModelSpec("test_resnet", pretrained=False), InputSpec(64, 32), 1)
    return TrainingModule(model, create_loss(LossSpec()), create_optimizer(model, OptimizerSpec()), ema)


def test_without_an_average_the_model_itself_is_judged() -> None:
    module = make_module(EmaSpec(0.0))
    assert module.judged is module.model
    assert not any(name.startswith("ema.") for name in module.state_dict())


@pytest.mark.parametrize("warmup", [False, True])
def test_the_average_follows_parameters_and_buffers(warmup: bool) -> None:
    module = make_module(EmaSpec(0.9, warmup))
    assert module.ema is not None
    expected = {name: tensor.double() for name, tensor in module.model.state_dict().items()}
    for step in range(1, 6):
        with torch.no_grad():
            for tensor in module.model.state_dict().values():
                tensor.add_(step)
        module.ema.update(module.model, step=step)
        # the first update copies; timm then counts the others from 1
        decay = 0.0 if step == 1 else min(0.9, 1 - step ** (-2 / 3)) if warmup else 0.9
        for name, tensor in module.model.state_dict().items():
            kept = decay * expected[name] + (1 - decay) * tensor.double()
            expected[name] = kept if tensor.is_floating_point() else tensor.double()
    for name, tensor in module.judged.state_dict().items():
        assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-5)


def test_the_average_is_in_the_checkpoint_and_out_of_the_optimizer() -> None:
    module = make_module(EmaSpec(0.9))
    names = {name for name in module.state_dict() if name.startswith("ema.")}
    assert {name.removeprefix("ema.module.") for name in names} == set(module.model.state_dict())
    optimized = {id(p) for group in module.configure_optimizers().param_groups for p in group["params"]}
    assert optimized == {id(parameter) for parameter in module.model.parameters()}
    assert not any(parameter.requires_grad for parameter in module.judged.parameters())


def test_losses_and_logits_are_handed_over_once() -> None:
    module = make_module(EmaSpec(0.9)).eval()
    batch = {"image": torch.randn(4, 1, 1, 64, 32), "target": torch.tensor([[0.0], [1.0], [0.0], [float("nan")]])}
    losses = [float(module.training_step(batch, 0).detach()) for _ in range(2)]
    assert module.take_training_loss() == pytest.approx(sum(losses) / 2)
    assert module.take_training_loss() != module.take_training_loss()  # nothing is left: NaN
    with torch.no_grad():
        module.validation_step({name: tensor[:3] for name, tensor in batch.items()}, 0)
        module.validation_step({name: tensor[3:] for name, tensor in batch.items()}, 1)
        logits = module.judged(batch["image"])
    probabilities, loss = module.take_validation()
    assert_close(torch.from_numpy(probabilities), logits.sigmoid(), rtol=1e-4, atol=1e-5)
    assert loss == pytest.approx(float(module.loss(logits, batch["target"])), rel=1e-4)


@pytest.mark.parametrize(("loss", "activation"), [("bce", "sigmoid"), ("mse", "sigmoid"), ("ce", "softmax")])
def test_validation_and_the_predictor_make_the_same_probabilities(
    loss: Literal["bce", "mse", "ce"], activation: Literal["sigmoid", "softmax"]
) -> None:
    seen = InputSpec(64, 32)
    model = create_model(ModelSpec("test_resnet", pretrained=False, activation=activation), seen, 3)
    spec = LossSpec(loss)
    module = TrainingModule(model, create_loss(spec, 3), create_optimizer(model, OptimizerSpec()), EmaSpec(0.0)).eval()
    pictures = [np.random.default_rng(i).integers(0, 255, (64, 32)).astype(np.uint8) for i in range(4)]
    images = torch.stack([normalise(to_input(picture, seen), seen) for picture in pictures])[:, None]
    with torch.no_grad():
        module.validation_step({"image": images, "target": torch.eye(4)[:, :3]}, 0)
    probabilities, _ = module.take_validation()
    np.testing.assert_allclose(probabilities, Predictor([model], seen, "cpu", 4).predict(pictures)[:, 0], atol=1e-6)
    assert np.allclose(probabilities.sum(axis=1), 1) == (activation == "softmax")


def targets(*kinds: Literal["binary", "ordinal", "regression", "class"]) -> list[Target]:
    return [Target(f"t{index}", kind) for index, kind in enumerate(kinds)]


def test_a_loss_is_for_the_kinds_of_targets_that_its_probabilities_are() -> None:
    check_loss(LossSpec("mse"), targets("binary", "ordinal"))
    check_loss(LossSpec("ce"), targets("class", "class"))
    for loss, wrong in (("bce", targets("class", "class")), ("ce", targets("binary", "class"))):
        with pytest.raises(InputError, match=f"loss {loss} does not fit"):
            check_loss(LossSpec(loss), wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="scale the values"):
        check_loss(LossSpec("mse"), targets("regression"))


def test_the_mean_of_the_last_epochs_weights() -> None:
    model = create_model(ModelSpec("test_resnet", pretrained=False), InputSpec(64, 32), 1)
    optimizer = create_optimizer(model, OptimizerSpec())
    module = TrainingModule(model, create_loss(LossSpec()), optimizer, EmaSpec(0.0), SwaSpec(start=0))
    assert module.judged is model
    assert module.swa is not None
    first = {name: tensor.double() for name, tensor in model.state_dict().items()}
    for shift in range(3):
        with torch.no_grad():
            for tensor in model.state_dict().values():
                tensor.add_(shift)
        module.swa.update_parameters(model)
    assert module.judged is module.swa.module
    for name, tensor in module.judged.state_dict().items():
        if tensor.is_floating_point():  # shifted by 0, 1 and 3 in all
            assert_close(tensor.double(), first[name] + 4 / 3, rtol=1e-5, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in module.judged.parameters())
    assert set(module.judged.state_dict()) == set(model.state_dict())
