"""The laws of the samplers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsna.config.training import SamplerSpec
from rsna.errors import InputError
from rsna.training.sampler import EpochBatches, EpochPlan


@st.composite
def plans(draw: st.DrawFn) -> tuple[np.ndarray, SamplerSpec, int, EpochPlan]:
    """A training side with at least one positive, a sampler, a batch size, and the plan."""
    positive = np.array([*draw(st.lists(st.booleans(), min_size=1, max_size=120)), True])
    batch = draw(st.integers(2, 17))
    spec = SamplerSpec(
        draw(st.sampled_from(["plain", "balanced"])),
        draw(st.integers(1, batch - 1)),
        draw(st.integers(1, 4)),
        draw(st.floats(0.05, 1.0)),
    )
    return positive, spec, batch, EpochPlan(positive, spec, batch, draw(st.integers(0, 9)), draw(st.integers(1, 3)))


@given(plans(), st.integers(0, 5))
def test_an_epoch_shows_what_it_should(case: tuple[np.ndarray, SamplerSpec, int, EpochPlan], epoch: int) -> None:
    positive, spec, _, plan = case
    rows = np.concatenate([np.array(batch, int) for batch in plan.batches(epoch)])
    assert len(set(rows)) == len(rows)  # no row of the resampled table twice
    shown = np.bincount(plan.rows[rows], minlength=len(positive))
    assert (shown[~positive] <= 1).all()
    assert shown[~positive].sum() == math.ceil((~positive).sum() * spec.negative_fraction)
    assert (shown[positive] >= spec.oversample).all()
    assert np.ptp(shown[positive]) <= 1  # no positive is preferred
    if spec.name == "plain":
        assert (shown[positive] == spec.oversample).all()


@given(plans(), st.integers(0, 5))
def test_batches_are_full_and_balanced(case: tuple[np.ndarray, SamplerSpec, int, EpochPlan], epoch: int) -> None:
    positive, spec, size, plan = case
    batches = plan.batches(epoch)
    assert len(batches) == plan.count
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= (1 if spec.name == "plain" else 2)
    if spec.name == "balanced":
        assert min(positive[plan.rows[batch]].sum() for batch in batches) >= spec.positives_per_batch


@given(plans())
def test_the_resampled_side_holds_its_rows_in_order_and_then_only_positives(
    case: tuple[np.ndarray, SamplerSpec, int, EpochPlan],
) -> None:
    positive, _, _, plan = case
    assert plan.rows[: len(positive)].tolist() == list(range(len(positive)))
    assert positive[plan.rows[len(positive) :]].all()


@given(plans(), st.integers(0, 5))
def test_an_epoch_depends_on_its_number_only(case: tuple[np.ndarray, SamplerSpec, int, EpochPlan], epoch: int) -> None:
    *_, plan = case
    first = plan.batches(epoch)
    plan.batches(epoch + 1)
    assert plan.batches(epoch) == first


def test_epochs_differ_and_undersampling_draws_anew() -> None:
    plan = EpochPlan(np.arange(200) < 10, SamplerSpec(negative_fraction=0.2), 16)
    negatives = [{row for batch in plan.batches(epoch) for row in batch if row >= 10} for epoch in range(2)]
    assert len(negatives[0]) == len(negatives[1]) == 38
    assert negatives[0] != negatives[1]


def test_the_winners_batches() -> None:
    """One positive and seven negatives, every negative once: 9,977 batches on RSNA with the external sets."""
    positive = np.arange(75_400) < 5_560
    plan = EpochPlan(positive, SamplerSpec("balanced", 1), 8)
    assert plan.count == 9_978  # the original dropped the last, incomplete one


def test_balanced_batches_need_a_positive() -> None:
    with pytest.raises(InputError, match="no positive"):
        EpochPlan(np.zeros(9, bool), SamplerSpec("balanced"), 4)


@pytest.mark.parametrize("devices", [1, 2, 3])
def test_processes_share_the_batches_of_the_current_epoch(devices: int) -> None:
    plan = EpochPlan(np.arange(50) < 5, SamplerSpec(), 4, devices=devices)
    started: list[int] = []
    loaders = [EpochBatches(plan, lambda: 3, started.append, rank, devices) for rank in range(devices)]
    shares = [list(loader) for loader in loaders]
    assert [len(share) for share in shares] == [len(loader) for loader in loaders] == [plan.count // devices] * devices
    assert sorted(row for share in shares for batch in share for row in batch) == list(range(50))
    assert started == [3] * devices
