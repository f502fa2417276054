"""What a person chooses about the synthetic breast competition, and the random streams that follow from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from rsna.errors import InputError

Split = Literal["train", "test", "hidden"]
Difficulty = Literal["easy", "normal", "hard"]

SPLITS: tuple[Split, ...] = ("train", "test", "hidden")
DIFFICULTIES: tuple[Difficulty, ...] = ("easy", "normal", "hard")
REAL_POSITIVE_RATE = 492 / 23_826  # breasts with cancer in the real training table
MAX_PATIENTS = 1_000_000
MIN_SCALE = 0.03  # below it the smallest machine would give images of fewer than 57 columns


@dataclass(frozen=True)
class BreastOptions:
    """Everything that decides the bytes of a synthetic breast competition.

    Attributes:
        patients: Patients of the training set.
        hidden_patients: Patients of the hidden test set.
        scale: Size of the images relative to the real ones, 0.03 to 1.
        seed: Two competitions of the same seed and options are the same, byte for byte.
        positive_rate: Share of breasts with cancer, over all ages.
        difficulty: How much contrast the lesions have.

    Raises:
        InputError: For a value out of its range.
    """

    patients: int
    hidden_patients: int
    scale: float = 0.1
    seed: int = 0
    positive_rate: float = REAL_POSITIVE_RATE
    difficulty: Difficulty = "normal"

    def __post_init__(self) -> None:
        for name in ("patients", "hidden_patients"):
            if not 1 <= getattr(self, name) <= MAX_PATIENTS:
                raise InputError(f"{name} is {getattr(self, name)}; it must be 1 to {MAX_PATIENTS}")
        if not MIN_SCALE <= self.scale <= 1:
            raise InputError(f"scale is {self.scale}; it must be {MIN_SCALE} to 1 (1 is the real size)")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; it must not be negative")
        if not 0 < self.positive_rate < 1:
            raise InputError(f"positive_rate is {self.positive_rate}; it must lie between 0 and 1")
        if self.difficulty not in DIFFICULTIES:
            raise InputError(f"difficulty is {self.difficulty!r}; choose one of {', '.join(DIFFICULTIES)}")

    def size(self, split: Split) -> int:
        """The number of patients of a split. The visible test shows one, as on Kaggle."""
        return {"train": self.patients, "test": 1, "hidden": self.hidden_patients}[split]

    def as_dict(self) -> dict[str, Any]:
        """The options as JSON-like values."""
        return asdict(self)


def stream(seed: int, split: Split, *key: int) -> np.random.Generator:
    """An independent random generator for one thing (a patient's table rows, one image's noise, …).

    It depends on nothing but its key, so that no result depends on the order or the number of the workers.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(SPLITS.index(split), *key)))
