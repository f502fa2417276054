"""From image files to probabilities: decoding processes and the models, busy at the same time."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.config import ImagingSpec
from rsna.data import inside
from rsna.data.views import sample_pictures
from rsna.errors import InputError
from rsna.imaging import Outcome, RegionFinder, check_finder, decode_images
from rsna.inference.bundle import Bundle
from rsna.inference.options import PredictOptions, is_rerun
from rsna.inference.predictor import Predictor
from rsna.inference.schema import Member
from rsna.log import progress

logger = logging.getLogger(__name__)

KILLED = "SIGKILL"  # in the reason of a decoder that somebody ended: the image need not be what was wrong
NO_NUMBER = "the models' output is not a number"


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
    finder, _ = choose_finder(bundle)

    def pictures(rows: list[int]) -> Iterator[np.ndarray | None]:
        chosen = table.iloc[rows]
        outcomes = decode(data, chosen["path"].tolist(), bundle.config.data.imaging, options.workers, finder)
        for image, outcome in zip(chosen["image_id"], outcomes, strict=True):
            if outcome.error is not None:
                failures[image] = outcome.error
                logger.warning("image %s cannot be used: %s", image, outcome.error)
            yield outcome.value

    samples = sample_pictures(table, bundle.config.model.views, range(len(table)), pictures)
    probabilities = predictor.predict(progress(samples, "predict", len(table)))
    for row in no_numbers(probabilities):
        failures.setdefault(table["image_id"].iloc[row], NO_NUMBER)
    return probabilities, failures


def choose_finder(bundle: Bundle) -> tuple[RegionFinder | None, str]:
    """The bundle's detector, if it has one; and empty, or why it goes without in a scoring rerun.

    Regions are then found in the pixels: predictions that are a little worse, and not none at all.

    Raises:
        InputError: In a visible run, where the detector cannot be used.
    """
    finder = bundle.finder
    if finder is None:
        return None, ""
    try:
        check_finder(finder)
    except InputError as error:
        if not is_rerun():
            raise
        method = bundle.config.data.imaging.roi.method
        note = f"{error}; regions are found by {method!r} instead, which is not what the models were trained on"
        logger.error("%s", note)
        return None, note
    return finder, ""


def no_numbers(probabilities: np.ndarray) -> np.ndarray:
    """The images for which not all models give finite numbers; their rows (N, M, T) become NaN throughout."""
    bad = ~np.isfinite(probabilities).all(axis=(1, 2))
    probabilities[bad] = np.nan
    return np.flatnonzero(bad)


def decode(
    data: Path, paths: Sequence[str], spec: ImagingSpec, workers: int, finder: RegionFinder | None
) -> Generator[Outcome[Path], None, None]:
    """Load images below a folder in worker processes, one outcome a path, in order.

    A path that would leave the folder is an error of this image, and never opened.
    """
    checked = [_check(data, path) for path in paths]
    outcomes = decode_images((path for path in checked if isinstance(path, Path)), spec, workers, finder)
    for path in checked:
        if not isinstance(path, Path):
            yield Outcome(data, error=path)
            continue
        outcome = next(outcomes)
        if outcome.error is not None and KILLED in outcome.error:
            logger.warning("the process that decoded %s was killed; it is tried once more", path)
            (outcome,) = decode_images([path], spec, 1, finder)
        yield outcome


def _check(data: Path, path: str) -> Path | str:
    """The path of a file below a folder, or why there is none."""
    try:
        return inside(data, path)
    except InputError as error:
        return str(error)
