"""Augmentation sets by name (albumentations), seeded per image.

They see the resized picture before it is normalised, 8 or 16 bit; what leaves the frame is filled with black, the air.
"""

from __future__ import annotations

import os
import random

import numpy as np

from rsna.config.training import AugmentationSpec
from rsna.data.dataset import Transform

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for a newer version on import
import albumentations as A


def create_augmentation(spec: AugmentationSpec) -> Transform | None:
    """The augmentation that a spec names: (pixels (h, w), seed) -> pixels (h, w), or None for `none`."""
    operations = {"none": [], "light": light(), "medium": medium()}[spec.name]
    if not operations:
        return None
    return SeededTransform(A.Compose(operations, p=spec.probability))


class SeededTransform:
    """A composition whose result depends on the picture and the seed, not on what came before."""

    def __init__(self, composition: A.Compose) -> None:
        self.composition = composition

    def __call__(self, pixels: np.ndarray, seed: int) -> np.ndarray:
        """Augment pixels (h, w), uint8 or uint16."""
        # one generator for all: set_random_seed would seed each operation alike, so that all are applied or none
        self.composition.set_random_state(np.random.default_rng(seed), random.Random(seed))
        return self.composition(image=pixels)["image"]


def light() -> list[A.BasicTransform]:
    """Flips, small shifts, zooms and turns, brightness and contrast."""
    return [
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.Affine(scale=(0.9, 1.1), translate_percent=(-0.05, 0.05), rotate=(-15, 15), fill=0, p=0.5),
        A.RandomBrightnessContrast(brightness_limit=0.1, contrast_limit=0.2, p=0.5),
    ]


def medium() -> list[A.BasicTransform]:
    """Stronger than `light`, with zooms into the picture, warps of the tissue and black patches."""
    return [
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.Affine(scale=(0.8, 1.25), translate_percent=(-0.1, 0.1), rotate=(-30, 30), shear=(-5, 5), fill=0, p=0.7),
        A.OneOf([A.ElasticTransform(alpha=20, sigma=10, fill=0), A.GridDistortion(distort_limit=0.2, fill=0)], p=0.25),
        A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.3, p=0.5),
        A.CoarseDropout(
            num_holes_range=(1, 6), hole_height_range=(0.05, 0.15), hole_width_range=(0.1, 0.25), fill=0, p=0.25
        ),
    ]
