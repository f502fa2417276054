"""The prediction table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rsna.inference.schema import Member

MEAN = -1  # of the test-time augmentations, in the column `tta`


def prediction_table(
    table: pd.DataFrame,
    probabilities: np.ndarray,
    members: Sequence[Member],
    targets: Sequence[str],
    tta: np.ndarray | int = MEAN,
) -> pd.DataFrame:
    """One row per member and image: ids, `member`, `model_fold`, `row_fold`, `tta`, `target_*` if known, `pred_*`.

    Args:
        table: The image table of N rows; without the column `fold`, `row_fold` is -1: test.
        probabilities: (N, M, T).
        members: The M models.
        targets: The T names.
        tta: The augmentation of each image, (N,): its number, or -1 for the mean over all.
    """
    truth = [str(name) for name in table if str(name).startswith("target_")]
    parts = []
    for index, member in enumerate(members):
        part = table[["image_id", "prediction_id"]].assign(
            member=member.name, model_fold=member.fold, row_fold=table.get("fold", -1), tta=tta
        )
        part[truth] = table[truth]
        part[[f"pred_{name}" for name in targets]] = probabilities[:, index].astype(np.float32)
        parts.append(part)
    predictions = pd.concat(parts, ignore_index=True)
    predictions.attrs["scale"] = "probability"  # kept in the parquet file's metadata
    return predictions
