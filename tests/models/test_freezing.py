"""What is frozen does not move, statistics included; the rest does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rsna.config import FreezeSpec, InputSpec, ModelSpec
from rsna.errors import InputError
from rsna.models import Classifier, create_model


def make(freeze: FreezeSpec, backbone: str = "test_resnet", **options: bool) -> Classifier:
    """A small model, ready for training."""
    spec = ModelSpec(backbone, pretrained=False, freeze=freeze, **options)  # type: ignore[arg-type]
    model = create_model(spec, InputSpec(64, 32), 1)
    model.prepare(spec)
    return model


def moved(model: Classifier, epoch: int) -> set[str]:
    """The tensors that a training step of an epoch changes."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert model.freezer is not None
    model.freezer.begin_epoch(epoch)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(4, 1, 1, 64, 32)).sum().backward()
    optimizer.step()
    return {name for name, tensor in model.state_dict().items() if not tensor.equal(before[name])}


def test_the_backbone_waits_for_its_epoch() -> None:
    model = make(FreezeSpec(epochs=2))
    assert moved(model, 1) == {"head.weight", "head.bias"}
    later = moved(model, 2)
    assert {"backbone.conv1.0.weight", "backbone.conv1.1.running_mean", "head.weight"} <= later


def test_frozen_norms_keep_their_statistics_and_weights() -> None:
    model = make(FreezeSpec(norms=True))
    norms = {name for name, module in model.backbone.named_modules() if isinstance(module, nn.BatchNorm2d)}
    changed = moved(model, 0)
    assert len(norms) > 5
    assert not any(f"backbone.{norm}.{part}" in changed for norm in norms for part in ("weight", "running_mean"))
    assert "backbone.conv1.0.weight" in changed


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext", "test_vit"])
def test_the_first_stages_stay(backbone: str) -> None:
    changed = moved(make(FreezeSpec(stages=2), backbone), 0)
    first = {"test_resnet": "conv1", "test_convnext": "stem", "test_vit": "patch_embed"}[backbone]
    assert not any(name.startswith(f"backbone.{first}") for name in changed)
    assert any(name.startswith("backbone.") for name in changed)


def test_at_least_one_stage_is_trained() -> None:
    with pytest.raises(InputError, match="one must be trained"):
        make(FreezeSpec(stages=99))


def test_checkpointing_changes_nothing_but_memory() -> None:
    plain, saving = make(FreezeSpec(), "test_vit"), make(FreezeSpec(), "test_vit", checkpointing=True)
    saving.load_state_dict(plain.state_dict())
    images = torch.randn(2, 1, 1, 64, 32)
    for model in (plain, saving):
        model(images).sum().backward()
    for ours, theirs in zip(saving.parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad)
