"""Augmentation sets by name (albumentations), seeded per image.

They see the resized picture before it is normalised, 8 or 16 bit; what leaves the frame is filled with black, the air.
"""

from __future__ import annotations

import os
import random

import numpy as np

from rsna.config.training import AugmentationSpec
from rsna.data.dataset import Transform
from rsna.training.operations import CropAndFit, Downscale, Noise, ToneCurve

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for a newer version on import
import albumentations as A


def create_augmentation(spec: AugmentationSpec) -> Transform | None:
    """The augmentation that a spec names: (pixels (h, w), seed) -> pixels (h, w), or None for `none`."""
    sets = {"light": light, "medium": medium, "heavy": heavy, "first_place": first_place, "sixth_place": sixth_place}
    if spec.name == "none":
        return None
    return SeededTransform(A.Compose(sets[spec.name](), p=spec.probability))


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


def heavy() -> list[A.BasicTransform]:
    """Stronger than `medium`, with what a worse picture would look like: blur, noise, fewer pixels."""
    blurs = [A.MotionBlur(blur_limit=7), A.GaussianBlur(blur_limit=(3, 7))]
    warps = [
        A.ElasticTransform(alpha=40, sigma=10, fill=0),
        A.GridDistortion(distort_limit=0.3, fill=0),
        A.OpticalDistortion(distort_limit=0.3, fill=0),
    ]
    return [
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.Affine(scale=(0.7, 1.4), translate_percent=(-0.15, 0.15), rotate=(-45, 45), shear=(-8, 8), fill=0, p=0.8),
        A.OneOf(warps, p=0.4),
        A.RandomBrightnessContrast(brightness_limit=0.3, contrast_limit=0.4, p=0.6),
        ToneCurve(scale=0.2, p=0.3),
        A.OneOf([*blurs, A.Sharpen(alpha=(0.1, 0.4)), Downscale((0.4, 0.8))], p=0.3),
        Noise((0.01, 0.05), p=0.2),
        A.CoarseDropout(
            num_holes_range=(1, 8), hole_height_range=(0.05, 0.2), hole_width_range=(0.1, 0.3), fill=0, p=0.4
        ),
    ]


def first_place() -> list[A.BasicTransform]:
    """The winner's set; use it with a probability of 0.9.

    Its crops filled the frame again, so a crop is a zoom here too. Source: dangnh0611/kaggle_rsna_breast_cancer, 2023.
    """
    tone = [
        ToneCurve(scale=0.3),
        A.RandomBrightnessContrast(brightness_limit=(-0.1, 0.2), contrast_limit=(-0.4, 0.5), brightness_by_max=True),
    ]
    shifts = {"x": (-0.1, 0.1), "y": (-0.2, 0.2)}
    warps = [
        A.Affine(scale=(0.85, 1.15), translate_percent=shifts, rotate=(-30, 30), fill=0, p=0.6),
        A.ElasticTransform(alpha=1, sigma=20, fill=0, p=0.2),
        A.GridDistortion(num_steps=5, distort_limit=0.3, fill=0, p=0.2),
    ]
    return [
        CropAndFit(p=0.4),
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        Downscale((0.75, 0.95), p=0.125),
        A.OneOf(tone, p=0.5),
        A.OneOf(warps, p=0.5),
        A.CoarseDropout(
            num_holes_range=(1, 6), hole_height_range=(0.05, 0.15), hole_width_range=(0.1, 0.25), fill=0, p=0.25
        ),
    ]


def sixth_place() -> list[A.BasicTransform]:
    """The set of the sixth place. Source: tyamaguchi17/rsna_mammo, 2023; its 64-pixel holes at a height of 1024."""
    hole = (64 / 1024, 64 / 1024)
    return [
        A.Affine(scale=(0.8, 1.2), translate_percent=(-0.1, 0.1), rotate=(-45, 45), fill=0, p=0.5),
        A.VerticalFlip(p=0.5),
        A.HorizontalFlip(p=0.5),
        A.RandomBrightnessContrast(brightness_limit=0.3, contrast_limit=0.3, p=0.5),
        A.OneOf([A.GridDistortion(distort_limit=0.5, fill=0), A.OpticalDistortion(distort_limit=0.5, fill=0)], p=0.25),
        A.CoarseDropout(num_holes_range=(1, 16), hole_height_range=hole, hole_width_range=hole, fill=0, p=0.2),
    ]
