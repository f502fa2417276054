"""Test-time augmentations: what they are must be undone by what they are not, and black stays black."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from rsna.errors import InputError
from rsna.inference.schema import Tta
from rsna.inference.tta import TTA, check_tta, scale, shift


def pictures(seed: int = 0) -> torch.Tensor:
    """(2, 2, 1, 40, 20), normalised, black but for a soft blob off the middle."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(20.0), indexing="ij")
    blob = torch.exp(-(((y - 14) / 5) ** 2 + ((x - 8) / 3) ** 2))
    return blob * (1 + torch.rand(2, 2, 1, 1, 1, generator=random)) - 2.1


@pytest.mark.parametrize("name", TTA)
def test_shape_kind_and_level_stay(name: str) -> None:
    images = pictures()
    before = images.clone()
    found = TTA[name](images)
    assert found.shape == images.shape
    assert found.dtype == images.dtype
    assert torch.equal(images, before)  # not in place
    assert found.min() >= images.min() - 1e-6
    assert found.max() <= images.max() + 1e-6


def test_the_names_are_those_that_a_bundle_may_hold() -> None:
    assert tuple(TTA) == get_args(Tta)
    check_tta(list(TTA))
    for wrong in ([], ["rot90"], ["none", "hflip "]):
        with pytest.raises(InputError, match="must be one or more of none, hflip"):
            check_tta(wrong)


@pytest.mark.parametrize("name", ["hflip", "vflip", "hvflip"])
def test_a_flip_twice_is_none(name: str) -> None:
    assert torch.equal(TTA[name](TTA[name](pictures())), pictures())


@pytest.mark.parametrize(("there", "back"), [("shift_up", "shift_down"), ("shift_left", "shift_right")])
def test_a_shift_and_its_opposite_leave_all_but_the_border(there: str, back: str) -> None:
    images = pictures()
    assert torch.equal(TTA[back](TTA[there](images))[..., 2:-2, 1:-1], images[..., 2:-2, 1:-1])
    assert torch.equal(TTA["shift_down"](images)[..., 2:, :], images[..., :-2, :])  # 5 % of 40 rows
    assert torch.equal(TTA["shift_right"](images)[..., 1:], images[..., :-1])


def test_what_comes_in_is_black() -> None:
    images = pictures()
    edge = shift(0.25, 0)(images)[..., :10, :]
    assert torch.equal(edge, images.amin((-2, -1), keepdim=True).expand_as(edge))
    small = scale(0.5)(images)
    assert torch.equal(small[..., :10, :], images.amin((-2, -1), keepdim=True).expand(2, 2, 1, 10, 20))


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_scaling_keeps_the_place_and_scales_the_area(factor: float) -> None:
    images = pictures()
    weight = images - images.amin((-2, -1), keepdim=True)
    found = scale(factor)(images)
    scaled = found - found.amin((-2, -1), keepdim=True)
    area = (scaled.sum((-2, -1)) / weight.sum((-2, -1))).numpy()
    np.testing.assert_allclose(area, factor**2, rtol=0.03)
    rows = torch.arange(40.0)
    centre = [(part.sum(-1) @ rows / part.sum((-2, -1))).mean() for part in (weight, scaled)]
    assert float(centre[1] - 19.5) == pytest.approx(float(centre[0] - 19.5) * factor, abs=0.3)


def test_an_absent_view_stays_absent() -> None:
    images = pictures()
    images[:, 1] = 0
    for name, operation in TTA.items():
        assert not operation(images)[:, 1].any(), name
