"""The submit path: bundle, predictor, prediction of a folder. Small on purpose: it must install and run on Kaggle.

Names are imported when they are first used: the process that supervises a prediction does without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsna.inference.bundle import Bundle, write_bundle
    from rsna.inference.oof import check_oof, predict_oof
    from rsna.inference.options import PredictOptions
    from rsna.inference.predict import predict_folder
    from rsna.inference.predictions import prediction_table
    from rsna.inference.predictor import Predictor
    from rsna.inference.schema import BundleSpec, Member
    from rsna.inference.supervise import predict_supervised

__all__ = [
    "Bundle",
    "BundleSpec",
    "Member",
    "PredictOptions",
    "Predictor",
    "check_oof",
    "predict_folder",
    "predict_oof",
    "predict_supervised",
    "prediction_table",
    "write_bundle",
]

HOMES = {
    "Bundle": "bundle",
    "BundleSpec": "schema",
    "Member": "schema",
    "PredictOptions": "options",
    "Predictor": "predictor",
    "check_oof": "oof",
    "predict_folder": "predict",
    "predict_oof": "oof",
    "predict_supervised": "supervise",
    "prediction_table": "predictions",
    "write_bundle": "bundle",
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
