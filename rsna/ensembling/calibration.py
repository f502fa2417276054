"""Calibration: temperature (Guo et al., arXiv:1706.04599) and isotonic regression, and how well each holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rsna.competitions.aggregation import EPSILON
from rsna.ensembling.scoring import nested
from rsna.errors import InputError

Floats = NDArray[np.float64]
Calibrator = Callable[[Floats], Floats]

BINS = 10
LOG_TEMPERATURES = (-4.0, 4.0)


@dataclass(frozen=True)
class Calibration:
    """How probabilities compare with rates.

    Attributes:
        method: `none`, `temperature` or `isotonic`.
        predictions: (N,) of the units, calibrated by what was fitted on the other folds.
        log_loss: In nats.
        brier: The mean squared error.
        error: The expected calibration error over bins of equally many units.
    """

    method: str
    predictions: Floats
    log_loss: float
    brier: float
    error: float


def fit_temperature(target: Floats, prediction: Floats) -> float:
    """The T for which `sigmoid(logit / T)` has the lowest log loss. Above 1: the model was too sure of itself."""
    from scipy.optimize import minimize_scalar

    logits = _logit(prediction)

    def loss(log_temperature: float) -> float:
        return log_loss(target, _sigmoid(logits / np.exp(log_temperature)))

    return float(np.exp(minimize_scalar(loss, bounds=LOG_TEMPERATURES, method="bounded").x))


def fit_calibrator(method: str, target: Floats, prediction: Floats) -> Calibrator:
    """Fit a map from probabilities to probabilities that keeps their order.

    Raises:
        InputError: For an unknown method.
    """
    if method == "none":
        return lambda values: values
    if method == "temperature":
        temperature = fit_temperature(target, prediction)
        return lambda values: _sigmoid(_logit(values) / temperature)
    if method == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(prediction, target)
        return lambda values: np.asarray(model.predict(values), np.float64)
    raise InputError(f"there is no calibration {method!r}; choose none, temperature or isotonic")


def compare_calibrations(units: pd.DataFrame, target: str) -> list[Calibration]:
    """All methods on units with `row_fold`, `target_*` and `pred_*`, each unit calibrated by the other folds."""
    name, known = f"pred_{target}", units.dropna(subset=[f"target_{target}", f"pred_{target}"])
    methods = ("none", "temperature", "isotonic") if known["row_fold"].nunique() > 1 else ("none",)
    found = []
    for method in methods:
        rows = known if method == "none" else nested(known, lambda train, m=method: _fitted(m, train, target))  # type: ignore[misc]
        truth, values = (rows[f"target_{target}"].to_numpy() > 0.5).astype(np.float64), rows[name].to_numpy(np.float64)
        aligned = rows.set_index("prediction_id")[name].loc[known["prediction_id"]].to_numpy(np.float64)
        error = expected_error(truth, values)
        found.append(
            Calibration(method, aligned, log_loss(truth, values), float(np.mean((values - truth) ** 2)), error)
        )
    return found


def _fitted(method: str, train: pd.DataFrame, target: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    truth = (train[f"target_{target}"].to_numpy() > 0.5).astype(np.float64)
    calibrate = fit_calibrator(method, truth, train[f"pred_{target}"].to_numpy(np.float64))
    return lambda rows: rows.assign(**{f"pred_{target}": calibrate(rows[f"pred_{target}"].to_numpy(np.float64))})


def log_loss(target: Floats, prediction: Floats) -> float:
    """The mean log loss in nats; probabilities are kept a millionth from 0 and 1."""
    p = np.clip(prediction, EPSILON, 1 - EPSILON)
    return float(-np.mean(np.where(target > 0.5, np.log(p), np.log1p(-p))))


def reliability(target: Floats, prediction: Floats, bins: int = BINS) -> pd.DataFrame:
    """`predicted`, `observed` and `units` of bins with equally many units, from low to high predictions."""
    order = np.argsort(prediction, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    rows = [(prediction[part].mean(), target[part].mean(), len(part)) for part in parts]
    return pd.DataFrame(rows, columns=["predicted", "observed", "units"])


def expected_error(target: Floats, prediction: Floats, bins: int = BINS) -> float:
    """The mean distance between predicted and observed rates over bins, weighted by their units."""
    table = reliability(target, prediction, bins)
    return float(np.average((table["predicted"] - table["observed"]).abs(), weights=table["units"]))


def _logit(probability: Floats) -> Floats:
    p = np.clip(probability, EPSILON, 1 - EPSILON)
    return np.asarray(np.log(p) - np.log1p(-p), np.float64)


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float64)
