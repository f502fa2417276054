"""The loss against torch and scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import log_loss
from torch.nn import functional
from torch.testing import assert_close

from rsna.config.training import LossSpec
from rsna.models import create_loss

NAN = float("nan")


def test_plain_binary_cross_entropy_is_scikit_learns_log_loss() -> None:
    logits = torch.randn(50, 1, generator=torch.Generator().manual_seed(0))
    targets = (torch.arange(50) % 3 == 0).float()[:, None]
    expected = log_loss(targets[:, 0].numpy(), logits.double().sigmoid()[:, 0].numpy())
    assert float(create_loss(LossSpec())(logits, targets)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("spec", "target", "aim", "weight"),
    [
        (LossSpec(), 1.0, 1.0, 1.0),
        (LossSpec(positive_smoothing=0.1), 1.0, 0.9, 1.0),
        (LossSpec(positive_smoothing=0.1), 0.0, 0.0, 1.0),  # a negative stays at exactly 0
        (LossSpec(positive_smoothing=0.1), 0.5, 0.45, 1.0),  # a soft label stays soft
        (LossSpec(positive_weight=7.0), 1.0, 1.0, 7.0),
        (LossSpec(positive_weight=7.0), 0.0, 0.0, 7.0),
        (LossSpec(positive_weight=7.0, positive_smoothing=0.2), 1.0, 0.8, 7.0),
    ],
)
@pytest.mark.parametrize("logit", [-3.0, 0.0, 2.0])
def test_weight_and_smoothing(spec: LossSpec, target: float, aim: float, weight: float, logit: float) -> None:
    x = torch.tensor(logit)
    expected = -(weight * aim * functional.logsigmoid(x) + (1 - aim) * functional.logsigmoid(-x))
    loss = create_loss(spec)(torch.tensor([[logit]]), torch.tensor([[target]]))
    assert_close(loss, expected)


@pytest.mark.parametrize("unknown", [[0], [0, 2], [1, 2]])
def test_unknown_targets_cost_nothing(unknown: list[int]) -> None:
    logits = torch.tensor([[1.0], [-2.0], [0.5]], requires_grad=True)
    targets = torch.tensor([[1.0], [0.0], [1.0]])
    known = [row for row in range(3) if row not in unknown]
    expected = create_loss(LossSpec())(logits[known], targets[known])
    targets[unknown] = NAN
    loss = create_loss(LossSpec())(logits, targets)
    assert_close(loss, expected)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[unknown] == 0).all()
    assert (logits.grad[known] != 0).all()


def test_a_batch_without_any_known_target_has_no_gradient() -> None:
    logits = torch.ones(2, 1, requires_grad=True)
    loss = create_loss(LossSpec())(logits, torch.full((2, 1), NAN))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_half_precision_logits_do_not_overflow() -> None:
    loss = create_loss(LossSpec(positive_weight=100.0))(torch.full((1, 1), -6e4, dtype=torch.float16), torch.ones(1, 1))
    assert torch.isfinite(loss)
