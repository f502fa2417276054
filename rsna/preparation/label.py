"""Predictions of a prepared set's pictures by a bundle, to be the pseudo-labels of a training."""

from __future__ import annotations

import pandas as pd

from rsna.config import differences, dump
from rsna.data import PreparedSet, read_pictures
from rsna.errors import InputError
from rsna.inference import Bundle, Predictor, prediction_table
from rsna.log import progress


def predict_prepared(bundle: Bundle, prepared: PreparedSet, device: str = "auto", batch_size: int = 16) -> pd.DataFrame:
    """Predict every picture of a prepared set with every member, without test-time augmentation.

    Args:
        bundle: Its models see single images.
        prepared: Made with the bundle's own imaging settings.
        device: `auto`, `cpu`, `cuda`.
        batch_size: Pictures per planned batch.

    Returns:
        A prediction table; `model_fold` tells which fold's patients a model has not seen.

    Raises:
        InputError: For pictures that were made otherwise than the bundle's, and models that see several views.
    """
    config = bundle.config
    other = differences(dump(prepared.spec.imaging), dump(config.data.imaging), "data.imaging")
    other += differences(dump(prepared.spec.detector), dump(bundle.spec.detector), "detector")
    if other:
        raise InputError(
            f"{prepared.folder} was prepared with other settings than {bundle.folder} ({'; '.join(other)}); import it"
            " again with the same data=, roi= and boxes="
        )
    if config.model.views.layout != "single":
        raise InputError(f"the models of {bundle.folder} see several views at once; label with models of single images")
    predictor = Predictor(bundle.models(), config.data.input, device, batch_size)
    pictures = progress(read_pictures(prepared, prepared.table), "predict", len(prepared.table))
    table = prepared.table.drop(columns="fold", errors="ignore")
    return prediction_table(table, predictor.predict(pictures), bundle.spec.members, bundle.targets)
