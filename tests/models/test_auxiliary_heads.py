"""The auxiliary heads and their losses."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from rsna.config.learning import AuxiliarySpec
from rsna.models.auxiliary import AuxiliaryHeads, auxiliary_loss

NAN = float("nan")


def test_each_loss_is_torchs_over_the_known() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0.0, NAN, 1.0, 1.0])
    known = [0, 2, 3]
    expected = {
        "bce": functional.binary_cross_entropy_with_logits(logits[known, 0], targets[known]),
        "mse": functional.mse_loss(logits[known, 0], targets[known]),
        "ce": functional.cross_entropy(logits[known], targets[known].long()),
    }
    for name, value in expected.items():
        assert_close(auxiliary_loss(name, logits, targets), value)


@pytest.mark.parametrize("name", ["bce", "mse", "ce"])
def test_without_a_known_target_there_is_no_gradient(name: str) -> None:
    logits = torch.ones(2, 3, requires_grad=True)
    loss = auxiliary_loss(name, logits, torch.full((2,), NAN))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_the_sum_is_weighted() -> None:
    specs = {"a": AuxiliarySpec(weight=0.5), "b": AuxiliarySpec("ce", "machine_id", weight=2.0)}
    heads = AuxiliaryHeads(specs, {"a": 1, "b": 4}, features=8)
    features, targets = torch.randn(5, 8), torch.tensor([[1.0, 3], [0, 2], [NAN, 0], [1, NAN], [0, 1]])
    logits = heads(features)
    assert {name: tuple(values.shape) for name, values in logits.items()} == {"a": (5, 1), "b": (5, 4)}
    expected = 0.5 * auxiliary_loss("bce", logits["a"], targets[:, 0])
    expected = expected + 2 * auxiliary_loss("ce", logits["b"], targets[:, 1])
    assert_close(heads.loss(features, targets), expected)
