"""The augmentation sets: what they keep, and that they depend on the seed alone."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from rsna.config.training import AugmentationSpec
from rsna.training.augmentation import create_augmentation

SETS = ["light", "medium", "heavy", "first_place", "sixth_place"]


def picture(dtype: type = np.uint8) -> np.ndarray:
    """A gradient (h, w) with a black right half, like a breast beside the air."""
    values = np.linspace(0.2, 0.8, 96 * 64).reshape(96, 64) * np.iinfo(dtype).max
    values[:, 32:] = 0
    return values.astype(dtype)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_shape_and_type_stay(name: str, dtype: type) -> None:
    transform = create_augmentation(AugmentationSpec(name))  # type: ignore[arg-type]
    assert transform is not None
    results = [transform(picture(dtype), seed) for seed in range(40)]
    assert all(result.shape == (96, 64) and result.dtype == dtype for result in results)
    assert len({result.tobytes() for result in results}) > 25
    assert max(result.max() for result in results) > np.iinfo(dtype).max / 2  # 16 bit is not cut to 8


@pytest.mark.parametrize("name", SETS)
def test_the_result_depends_on_the_seed_alone(name: str) -> None:
    first, second = (create_augmentation(AugmentationSpec(name)) for _ in range(2))  # type: ignore[arg-type]
    assert first is not None
    assert second is not None
    seeds = [2**62 + seed for seed in range(20)]
    forwards = [first(picture(), seed) for seed in seeds]
    copied = pickle.loads(pickle.dumps(second))  # as a loading process gets it
    backwards = [copied(picture(), seed) for seed in reversed(seeds)][::-1]
    np.testing.assert_array_equal(forwards, backwards)


def test_operations_are_drawn_independently() -> None:
    transform = create_augmentation(AugmentationSpec("light"))
    assert transform is not None
    corner = np.zeros((96, 64), np.uint8)
    corner[:48, :32] = 200
    halves = {
        (int(r[:48].sum() > r[48:].sum()), int(r[:, :32].sum() > r[:, 32:].sum()))
        for r in (transform(corner, seed) for seed in range(60))
    }
    assert len(halves) == 4  # flipped neither way, either way, both ways


def test_the_picture_that_was_given_is_not_changed() -> None:
    transform = create_augmentation(AugmentationSpec("medium"))
    assert transform is not None
    given = picture()
    for seed in range(20):
        transform(given, seed)
    np.testing.assert_array_equal(given, picture())


def test_none_is_none_and_probability_zero_changes_nothing() -> None:
    assert create_augmentation(AugmentationSpec("none")) is None
    transform = create_augmentation(AugmentationSpec("medium", probability=0.0))
    assert transform is not None
    assert all((transform(picture(), seed) == picture()).all() for seed in range(10))
