"""The prediction table, and what stands in for an image that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rsna.inference.schema import Member


def prediction_table(
    table: pd.DataFrame, probabilities: np.ndarray, members: Sequence[Member], targets: Sequence[str]
) -> pd.DataFrame:
    """One row per member and image: ids, `member`, `model_fold`, `row_fold`, `tta`, `target_*` if known, `pred_*`.

    Args:
        table: The image table of N rows; without the column `fold`, `row_fold` is -1: test.
        probabilities: (N, M, T), means over the test-time augmentations, hence `tta` -1.
        members: The M models.
        targets: The T names.
    """
    truth = [str(name) for name in table if str(name).startswith("target_")]
    parts = []
    for index, member in enumerate(members):
        part = table[["image_id", "prediction_id"]].assign(
            member=member.name, model_fold=member.fold, row_fold=table.get("fold", -1), tta=-1
        )
        part[truth] = table[truth]
        part[[f"pred_{name}" for name in targets]] = probabilities[:, index].astype(np.float32)
        parts.append(part)
    predictions = pd.concat(parts, ignore_index=True)
    predictions.attrs["scale"] = "probability"  # kept in the parquet file's metadata
    return predictions


def fill_missing(table: pd.DataFrame, probabilities: np.ndarray, prior: Sequence[float]) -> np.ndarray:
    """Replace the NaN of images that could not be used, per member and target, by the best that is known.

    That is the mean of the scored unit's other images, else that of its group's (patient's), else the prior.

    Args:
        table: The image table of N rows.
        probabilities: (N, M, T) with NaN rows.
        prior: One rate per target, (T,).
    """
    count, members, outputs = probabilities.shape
    values = pd.DataFrame(probabilities.reshape(count, members * outputs))
    for column in ("prediction_id", "group_id"):
        values = values.fillna(values.groupby(table[column].to_numpy()).transform("mean"))
    filled = values.to_numpy(np.float32).reshape(probabilities.shape)
    return np.where(np.isnan(filled), np.asarray(prior, np.float32), filled)
