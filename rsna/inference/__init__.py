"""The submit path: bundle, predictor, prediction of a folder. Small on purpose: it must install and run on Kaggle."""

from rsna.inference.bundle import Bundle, write_bundle
from rsna.inference.images import PredictOptions
from rsna.inference.oof import check_oof, predict_oof
from rsna.inference.predict import predict_folder
from rsna.inference.predictions import prediction_table
from rsna.inference.predictor import Predictor
from rsna.inference.schema import BundleSpec, Member

__all__ = [
    "Bundle",
    "BundleSpec",
    "Member",
    "PredictOptions",
    "Predictor",
    "check_oof",
    "predict_folder",
    "predict_oof",
    "prediction_table",
    "write_bundle",
]
