"""Does a prepared set's own spec still make its own pictures? Train/submit skew begins where it does not."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.data import PreparedSet, inside
from rsna.errors import ImageError, InputError
from rsna.imaging import check_finder, decode_images

logger = logging.getLogger(__name__)


def check_reproduces(
    prepared: PreparedSet, data: str | Path, sample: int = 8, seed: int = 0, workers: int = 1
) -> list[str]:
    """Decode a sample of a set's source files with its spec, and compare with its pictures bit by bit.

    Args:
        prepared: The set.
        data: The competition's data folder.
        sample: How many images, drawn by `seed`.
        seed: Of the draw; the same seed draws the same images.
        workers: Decoding processes.

    Returns:
        The ids of the images that came out different or not at all; empty where the set is reproduced.

    Raises:
        InputError: Where the data folder is not there, or the set's detector cannot be used here.
    """
    if not Path(data).is_dir():
        raise InputError(f"there is no data folder {data} to compare {prepared.folder} with")
    if prepared.spec.boxes:
        logger.warning(
            "%s was cut out by a table of boxes, which a submission does not have; prepare with boxes=FILE.onnx",
            prepared.folder,
        )
    rows = _sample(prepared.table, sample, seed)
    if prepared.finder is not None:
        check_finder(prepared.finder)
    paths = (inside(data, path) for path in rows["source_path"])
    outcomes = decode_images(paths, prepared.spec.imaging, workers, prepared.finder)
    wrong = []
    for image, path, outcome in zip(rows["image_id"], rows["path"], outcomes, strict=True):
        reason = outcome.error or _compare(prepared, path, outcome.value)
        if reason:
            logger.warning("image %s of %s is not reproduced: %s", image, prepared.folder, reason)
            wrong.append(image)
    return wrong


def _sample(table: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    chosen = np.random.default_rng(seed).choice(len(table), min(size, len(table)), replace=False)
    return table.iloc[np.sort(chosen)]


def _compare(prepared: PreparedSet, path: str, pixels: np.ndarray) -> str | None:
    """Why fresh pixels are not those of a picture; None where they are."""
    try:
        stored = prepared.read(path)
    except ImageError as error:
        return error.reason
    if stored.shape != pixels.shape or stored.dtype != pixels.dtype:
        return f"{pixels.shape} {pixels.dtype}, not {stored.shape} {stored.dtype}"
    different = int(np.count_nonzero(stored != pixels))
    return f"{different} of {pixels.size} pixels differ" if different else None
