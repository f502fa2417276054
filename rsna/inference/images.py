"""From image files to probabilities: decoding processes and the models, busy at the same time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.data import inside
from rsna.imaging import decode_images
from rsna.inference.bundle import Bundle
from rsna.inference.predictor import Predictor
from rsna.inference.schema import Member
from rsna.log import progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictOptions:
    """How to predict; nothing in here changes what is predicted by more than rounding, `tta` and `amp` aside.

    Attributes:
        workers: Decoding processes; -1 for one per core.
        batch_size: Images per forward pass.
        device: `auto`, `cpu`, `cuda`.
        tta: Test-time augmentations instead of the bundle's.
        amp: Mixed precision.
    """

    workers: int = -1
    batch_size: int = 16
    device: str = "auto"
    tta: tuple[str, ...] = ()
    amp: bool = False


DEFAULTS = PredictOptions()


def predict_images(
    bundle: Bundle, table: pd.DataFrame, data: Path, members: Sequence[Member], options: PredictOptions
) -> tuple[np.ndarray, dict[str, str]]:
    """Decode the images of a table and predict them while the next ones are being decoded.

    Returns:
        Probabilities (N, M, T), float32, in the table's order, NaN for an image that cannot be used; and the reason
        for each of those, by image id.
    """
    tta = options.tta or bundle.spec.tta
    predictor = Predictor(
        bundle.models(members), bundle.config.data.input, options.device, options.batch_size, tta, options.amp
    )
    failures: dict[str, str] = {}
    images = _decode(bundle, table, data, options.workers, failures)
    probabilities = predictor.predict(progress(images, "predict", len(table)))
    bad = ~np.isfinite(probabilities).all(axis=(1, 2))
    probabilities[bad] = np.nan
    for image in table.loc[bad, "image_id"]:
        failures.setdefault(image, "the models' output is not a number")
    return probabilities, failures


def _decode(
    bundle: Bundle, table: pd.DataFrame, data: Path, workers: int, failures: dict[str, str]
) -> Iterator[np.ndarray | None]:
    """Yield one picture after the other, None for an unusable one, whose reason goes to `failures`."""
    paths = [inside(data, path) for path in table["path"]]
    outcomes = decode_images(paths, bundle.config.data.imaging, workers)
    for image, outcome in zip(table["image_id"], outcomes, strict=True):
        if outcome.error is not None:
            failures[image] = outcome.error
            logger.warning("image %s cannot be used: %s", image, outcome.error)
        yield outcome.value
