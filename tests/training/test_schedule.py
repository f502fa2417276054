"""Schedules as tables of (epoch, step) -> factor."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsna.config.training import SchedulerSpec
from rsna.errors import InputError
from rsna.training.schedule import count_drops, create_schedule

STEPS = 5  # per epoch


@pytest.mark.parametrize(
    ("spec", "expected"),  # the factor in the epochs 0..3 of four
    [
        (SchedulerSpec("constant", "epoch"), [1, 1, 1, 1]),
        (SchedulerSpec("constant", "epoch", warmup=2, warmup_start=0.5), [0.5, 0.75, 1, 1]),
        (SchedulerSpec("cosine", "epoch"), [1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4]),
        (SchedulerSpec("cosine", "epoch", warmup=2, warmup_start=0.1, floor=0.2), [0.1, 0.55, 1, 0.6]),
        (SchedulerSpec("step", "epoch", every=2), [1, 1, 0.1, 0.1]),
        (SchedulerSpec("step", "epoch", every=1, gamma=0.5, floor=0.3), [1, 0.5, 0.3, 0.3]),
        (SchedulerSpec("poly", "epoch"), [1, 0.75, 0.5, 0.25]),
        (SchedulerSpec("poly", "epoch", cooldown=2, floor=0.1), [1, 0.55, 0.1, 0.1]),
        (SchedulerSpec("cosine", "epoch", warmup=1, warmup_start=0.5, cooldown=1), [0.5, 1, 0.5, 0]),
        (SchedulerSpec("exponential", "epoch", gamma=0.5, floor=0.2), [1, 0.5, 0.25, 0.2]),
        (SchedulerSpec("exponential", "epoch", gamma=0.5, warmup=1, cooldown=1), [0.01, 1, 0.5, 0.25]),
        (SchedulerSpec("multistep", "epoch", milestones=(1, 3), gamma=0.1), [1, 0.1, 0.1, 0.01]),
        (SchedulerSpec("restarts", "epoch", every=2), [1, 0.5, 1, 0.5]),
        (SchedulerSpec("poly", "epoch", power=2.0, floor=0.2), [1, 0.65, 0.4, 0.25]),
    ],
)
def test_schedules_by_epoch(spec: SchedulerSpec, expected: list[float]) -> None:
    schedule = create_schedule(spec, epochs=4, steps=STEPS)
    assert [schedule.factor(epoch, epoch * STEPS) for epoch in range(4)] == pytest.approx(expected)
    assert schedule.factor(1, STEPS + 4) == schedule.factor(1, STEPS)  # constant within the epoch


@pytest.mark.parametrize(
    ("spec", "expected"),  # the factor at the steps 0, 5, 10, 15 of 20
    [
        (SchedulerSpec("cosine", "step"), [1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4]),
        (SchedulerSpec("poly", "step", warmup=10, warmup_start=0.2), [0.2, 0.6, 1, 0.5]),
        (SchedulerSpec("step", "step", every=8, gamma=0.1), [1, 1, 0.1, 0.1]),
        (SchedulerSpec("onecycle", "step", warmup=10, warmup_start=0.04, floor=0.0), [0.04, 0.52, 1, 0.5]),
    ],
)
def test_schedules_by_step(spec: SchedulerSpec, expected: list[float]) -> None:
    schedule = create_schedule(spec, epochs=4, steps=STEPS)
    assert [schedule.factor(epoch, epoch * STEPS) for epoch in range(4)] == pytest.approx(expected)


@pytest.mark.parametrize("epochs", [1, 7, 30])
def test_the_cosine_is_torchs(epochs: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs, eta_min=0.05)
    schedule = create_schedule(SchedulerSpec("cosine", "epoch", floor=0.05), epochs, STEPS)
    for epoch in range(epochs):
        assert schedule.factor(epoch, 0) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


def test_one_cycle_is_torchs() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=21, pct_start=11 / 21)
    schedule = create_schedule(SchedulerSpec("onecycle", "step", warmup=10, warmup_start=0.04, floor=4e-6), 4, STEPS)
    for step in range(20):
        assert schedule.factor(0, step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-5)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(
    ("scores", "patience", "drops"),
    [
        ([], 1, 0),
        ([0.5, 0.6, 0.7], 1, 0),
        ([0.5, 0.5], 1, 1),
        ([0.5, 0.4, 0.4], 2, 1),
        ([0.5, 0.4, 0.6, 0.4, 0.4, 0.4, 0.4], 2, 2),
        ([-math.inf, -math.inf, 0.1], 2, 1),
    ],
)
def test_the_plateau_drops(scores: list[float], patience: int, drops: int) -> None:
    assert count_drops(scores, patience) == drops
    spec = SchedulerSpec("plateau", "epoch", patience=patience, gamma=0.5)
    assert create_schedule(spec, 10, STEPS).factor(len(scores), 0, scores) == 0.5**drops


def test_the_plateau_is_torchs() -> None:
    scores = [0.1, 0.3, 0.2, 0.25, 0.3, 0.3, 0.4, 0.1, 0.2, 0.1, 0.1, 0.1]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    # torch drops after more than `patience` bad epochs, here it is after so many
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", factor=0.5, patience=1, threshold=0.0)
    schedule = create_schedule(SchedulerSpec("plateau", "epoch", patience=2, gamma=0.5), 20, STEPS)
    for epoch, score in enumerate(scores):
        theirs.step(score)
        assert schedule.factor(epoch + 1, 0, scores[: epoch + 1]) == optimizer.param_groups[0]["lr"]


@given(
    st.sampled_from(["constant", "cosine", "step", "poly"]),
    st.integers(0, 9),
    st.floats(0, 1),
    st.integers(0, 30),
)
def test_factors_lie_between_floor_and_one(name: str, warmup: int, floor: float, step: int) -> None:
    spec = SchedulerSpec(name, "step", warmup=warmup, floor=floor, warmup_start=0.5)  # type: ignore[arg-type]
    factor = create_schedule(spec, 2, STEPS).factor(step // STEPS, step)
    assert min(floor, 0.5) <= factor <= 1 + 1e-12


@pytest.mark.parametrize(
    "spec", [SchedulerSpec("cosine", "epoch", warmup=4), SchedulerSpec("cosine", "step", warmup=20)]
)
def test_a_warmup_as_long_as_the_training_is_refused(spec: SchedulerSpec) -> None:
    with pytest.raises(InputError, match=f"warmup.*{spec.unit}"):
        create_schedule(spec, 4, STEPS)
