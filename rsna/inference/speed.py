"""How fast this machine predicts, and when it would be through with the hidden test."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from rsna.inference.bundle import Bundle
from rsna.inference.options import PredictOptions
from rsna.inference.predictor import Predictor

HIDDEN_PATIENTS, IMAGES_PER_PATIENT = 8000, 4  # of the hidden test of RSNA 2023, by its data page
LIMIT_H = 9.0  # of a scoring rerun
BATCHES = 2


@dataclass(frozen=True)
class Speed:
    """What a prediction of training images with one model each has measured.

    Attributes:
        images: How many.
        size: Of their files, in bytes.
        seconds: It took, starting the decoding processes included.
        passes: Models times augmentations that a test image goes through.
        forward: Seconds that one pass takes an image.
    """

    images: int
    size: int
    seconds: float
    passes: int
    forward: float

    @property
    def seconds_per_image(self) -> float:
        """Of a test image: as measured, and the further passes one after the other, though decoding goes on."""
        return self.seconds / self.images + (self.passes - 1) * self.forward

    @property
    def hours(self) -> float:
        """That the hidden test will take."""
        return HIDDEN_PATIENTS * IMAGES_PER_PATIENT * self.seconds_per_image / 3600

    @property
    def too_slow(self) -> bool:
        """Whether that is more than the limit."""
        return self.hours > LIMIT_H

    @property
    def measured(self) -> str:
        """What was measured, in words."""
        megabytes = self.size / 1e6
        return (
            f"{self.images} training images of {megabytes:.1f} MB in {self.seconds:.1f} s:"
            f" {self.seconds / self.images:.3f} s an image, {megabytes / self.seconds:.3g} MB/s"
        )

    @property
    def forecast(self) -> str:
        """What follows from it, with the assumptions."""
        images = HIDDEN_PATIENTS * IMAGES_PER_PATIENT
        return (
            f"the hidden test would take {self.hours:.1f} h of {LIMIT_H:g} h: {images:,} images of {HIDDEN_PATIENTS:,}"
            f" patients, {self.seconds_per_image:.3f} s each, if its files and machine are like these; further"
            f" passes through a model are counted one after the other ({self.passes - 1} of {self.forward:.3f} s)"
        )

    def report(self) -> dict[str, Any]:
        """For a file."""
        return {
            "images": self.images,
            "bytes": self.size,
            "seconds": round(self.seconds, 3),
            "seconds_per_image": round(self.seconds_per_image, 5),
            "megabytes_per_second": round(self.size / 1e6 / self.seconds, 3),
            "passes": self.passes,
            "forward_seconds": round(self.forward, 6),
            "hidden_images": HIDDEN_PATIENTS * IMAGES_PER_PATIENT,
            "hidden_hours": round(self.hours, 3),
            "limit_hours": LIMIT_H,
        }


def forward_seconds(bundle: Bundle, options: PredictOptions) -> float:
    """Seconds that one pass through one model of a bundle takes an image, in full batches of black ones."""
    models, size = bundle.models(bundle.spec.members[:1]), options.batch_size
    predictor = Predictor(models, bundle.config.data.input, options.device, size, amp=options.amp)
    predictor.predict([None] * size)  # the first one is slow
    start = time.perf_counter()
    predictor.predict([None] * (BATCHES * size))
    return (time.perf_counter() - start) / (BATCHES * size)
