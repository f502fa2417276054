"""The law: the training DICOMs of a fold, through the member that has not seen them, give its out-of-fold predictions.

Where they do not, training and submission look at different pictures or weights, and no score can be trusted.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.errors import ImageError, InputError, RsnaError
from rsna.inference.bundle import Bundle
from rsna.inference.images import predict_images
from rsna.inference.options import DEFAULTS, PredictOptions
from rsna.inference.predictions import prediction_table
from rsna.inference.schema import Member

LAW = 1e-4  # how far a prediction may lie from the out-of-fold one
# Of the images, those that may lie further where a detector finds the regions: on another processor its box may round
# to the next pixel of the thumbnail, as it did for 1 of 770 images between two runtimes.
DETECTED_BEYOND = 0.01

logger = logging.getLogger(__name__)


def predict_oof(
    bundle: Bundle,
    data: Path,
    folds: Sequence[int] = (),
    options: PredictOptions = DEFAULTS,
    patients: int | None = None,
) -> pd.DataFrame:
    """Predict the training images of each validation fold with the member that has not seen them.

    Args:
        bundle: With its out-of-fold predictions.
        data: Holds `train.csv` and `train_images/`.
        folds: The folds to predict; all of the bundle's unless given.
        options: Where and how fast. Out-of-fold predictions know no test-time augmentation.
        patients: At most this many groups, always the same ones; all unless given.

    Returns:
        A prediction table, which `check_oof` compares with the bundle's.

    Raises:
        InputError: For a fold without a member, or a folder that lacks the bundle's training images.
        ImageError: For an image that cannot be used: it could be when the bundle was made.
    """
    members = [member for member in bundle.spec.members if not folds or member.fold in folds]
    if missing := sorted(set(folds) - {member.fold for member in members}):
        raise InputError(f"the bundle {bundle.folder} has no member for the fold(s) {', '.join(map(str, missing))}")
    train, oof = bundle.competition.train_table(data), bundle.oof()
    if not oof["image_id"].isin(train["image_id"]).all():
        raise InputError(f"{data} lacks training images of {bundle.folder}; give the folder that the bundle came from")
    oof = oof[oof["member"].isin([member.name for member in members])]
    if patients is not None:
        oof = oof[oof["image_id"].isin(_sample_groups(train[train["image_id"].isin(oof["image_id"])], patients))]
    plain = replace(options, tta=("none",))
    parts = [
        _predict_fold(bundle, train, rows, data, member, plain)
        for member in members
        if len(rows := oof.loc[oof["member"] == member.name, ["image_id", "row_fold"]])
    ]
    return pd.concat(parts, ignore_index=True)


def _sample_groups(table: pd.DataFrame, count: int) -> pd.Series:
    """The images of `count` groups of an image table, chosen by the hash of their ids: anywhere, and always alike."""
    groups = sorted(table["group_id"].unique(), key=lambda group: hashlib.sha256(group.encode("utf-8")).digest())
    return table.loc[table["group_id"].isin(groups[:count]), "image_id"]


def _predict_fold(
    bundle: Bundle, train: pd.DataFrame, rows: pd.DataFrame, data: Path, member: Member, options: PredictOptions
) -> pd.DataFrame:
    """Predict the images of some rows of the out-of-fold predictions, in their order: so batches are the same."""
    table = rows.rename(columns={"row_fold": "fold"}).merge(train, on="image_id", how="left", validate="1:1")
    probabilities, failures = predict_images(bundle, table, data, [member], options)
    for image, reason in failures.items():
        raise ImageError(f"training image {image} of {data}", reason)
    return prediction_table(table, probabilities, [member], bundle.targets)


def check_oof(bundle: Bundle, predictions: pd.DataFrame) -> float:
    """The largest distance between `predict_oof` and the bundle's own out-of-fold predictions.

    Raises:
        RsnaError: Where it is more than 1e-4, for more than 1 % of the images if a detector finds their regions:
            pictures, weights or code are not those that made the bundle.
    """
    keys, columns = ["member", "image_id"], [f"pred_{name}" for name in bundle.targets]
    pairs = predictions[keys + columns].merge(bundle.oof()[keys + columns], on=keys, validate="1:1")
    found, expected = np.split(pairs[pairs.columns[len(keys) :]].to_numpy(np.float64), 2, axis=1)
    distance = np.abs(found - expected).max(axis=1)
    worst, beyond = int(np.argmax(distance)), int((~(distance <= LAW)).sum())
    text = (
        f"image {pairs['image_id'][worst]} through {pairs['member'][worst]} of {bundle.folder} lies"
        f" {distance[worst]:.2g} from its out-of-fold prediction, and {beyond} of {len(pairs)} by more than {LAW:g}"
    )
    if beyond > (DETECTED_BEYOND * len(pairs) if bundle.spec.detector else 0):
        raise RsnaError(f"{text}: pictures, weights or code are not those that made the bundle")
    if beyond:
        logger.warning("%s: this processor rounds a few boxes of the detector otherwise", text)
    return float(distance[worst])
