"""The loss against torch and scikit-learn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss
from torch.nn import functional
from torch.testing import assert_close

from rsna.config.training import LossSpec
from rsna.errors import InputError
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


@pytest.mark.parametrize(("logit", "target"), [(-3.0, 1.0), (0.5, 0.0), (2.0, 1.0), (1.0, 0.4)])
def test_focal_discounts_what_is_easy_and_mse_is_the_brier_score(logit: float, target: float) -> None:
    pair = torch.tensor([[logit]]), torch.tensor([[target]])
    distance = abs(target - float(torch.tensor(logit).sigmoid()))
    plain = create_loss(LossSpec())(*pair)
    assert_close(create_loss(LossSpec("focal", focal_gamma=2.0))(*pair), plain * distance**2)
    assert_close(create_loss(LossSpec("focal", focal_gamma=0.0))(*pair), plain)
    assert float(create_loss(LossSpec("mse"))(*pair)) == pytest.approx(distance**2)


def test_cross_entropy_is_scikit_learns_and_leaves_out_rows_that_are_not_known() -> None:
    logits = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    classes = torch.arange(40) % 3
    targets = functional.one_hot(classes, 3).float()
    expected = log_loss(classes.numpy(), logits.detach().double().softmax(1).numpy())
    assert float(create_loss(LossSpec("ce"), 3)(logits, targets).detach()) == pytest.approx(expected, rel=1e-6)
    targets[5, 1] = NAN
    loss = create_loss(LossSpec("ce"), 3)(logits, targets)
    known = [row for row in range(40) if row != 5]
    assert_close(loss, create_loss(LossSpec("ce"), 3)(logits[known], targets[known]))
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[5] == 0).all()
    assert float(create_loss(LossSpec("ce"), 3)(logits, torch.full((40, 3), NAN)).detach()) == 0


def test_cross_entropy_of_one_target_is_refused() -> None:
    with pytest.raises(InputError, match="loss=bce"):
        create_loss(LossSpec("ce"), 1)


def test_a_weighted_loss_and_a_sum() -> None:
    logits, targets = torch.tensor([[1.0], [-1.0]]), torch.tensor([[1.0], [0.0]])
    plain = create_loss(LossSpec())(logits, targets)
    assert_close(create_loss(LossSpec(weight=8.0))(logits, targets), 8 * plain)
    surrogate = create_loss(LossSpec("aucpr")).eval()(logits, targets)
    both = create_loss(LossSpec(weight=2.0, aucpr_weight=0.5)).eval()
    assert_close(both(logits, targets), 2 * plain + surrogate)


def test_the_precision_recall_surrogate_learns_a_ranking() -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(400, 5, generator=random)
    hidden = features @ torch.tensor([1.0, -1, 2, 0, 0])
    targets = (hidden + torch.randn(400, generator=random) > 3).float()[:, None]
    model, loss = torch.nn.Linear(5, 1), create_loss(LossSpec("aucpr"))
    torch.nn.init.zeros_(model.weight)
    before = average_precision_score(targets[:, 0], torch.randn(400, generator=random))
    optimizer = torch.optim.Adam([*model.parameters(), *loss.parameters()], lr=0.05)
    multipliers = dict(loss.named_parameters())["multipliers"]
    for _ in range(150):
        optimizer.zero_grad()
        loss(model(features), targets).backward()
        assert (multipliers >= 0).all()  # as they were used: a step may leave them below, the next loss does not
        optimizer.step()
    after = average_precision_score(targets[:, 0], model(features)[:, 0].detach())
    assert after > before + 0.4
    assert multipliers.detach().std() > 0.01  # they have moved apart


@given(st.lists(st.floats(-3, 0), min_size=20, max_size=20))
def test_a_multiplier_below_zero_counts_as_zero_and_may_climb_again(values: list[float]) -> None:
    logits, targets = torch.tensor([[2.0], [1.0], [-1.0]]), torch.tensor([[1.0], [0.0], [0.0]])
    below, zero = (create_loss(LossSpec("aucpr")).eval() for _ in range(2))
    for loss, start in ((below, values), (zero, [0.0] * 20)):
        with torch.no_grad():
            dict(loss.named_parameters())["multipliers"].copy_(torch.tensor(start))
    assert_close(below(logits, targets), zero(logits, targets))
    below(logits, targets).backward()
    gradient = dict(below.named_parameters())["multipliers"].grad
    assert gradient is not None
    assert gradient[-1] < 0  # the false alarms are too many for a high precision, so descent raises its price


def test_the_surrogates_multipliers_climb_while_the_rest_descends() -> None:
    loss = create_loss(LossSpec("aucpr"))
    logits = torch.tensor([[5.0], [5.0], [5.0]], requires_grad=True)  # three alarms, one of them right
    loss(logits, torch.tensor([[1.0], [0.0], [0.0]])).backward()
    assert logits.grad is not None
    assert (logits.grad[1:] > 0).all()  # descent lowers the false alarms
    high = dict(loss.named_parameters())["multipliers"].grad
    assert high is not None
    assert high[-1] < 0  # descent raises the price of a high precision that is not kept


@pytest.mark.parametrize("name", ["focal", "mse", "aucpr"])
def test_unknown_targets_cost_nothing_in_any_loss(name: str) -> None:
    loss = create_loss(LossSpec(name)).eval()  # type: ignore[arg-type]
    logits, targets = torch.tensor([[1.0], [-2.0], [0.5]]), torch.tensor([[1.0], [0.0], [NAN]])
    assert_close(loss(logits, targets), loss(logits[:2], targets[:2]))
    assert float(loss(logits, torch.full((3, 1), NAN)).detach()) == 0
