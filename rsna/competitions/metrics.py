"""Metrics of binary targets, in numpy: the submit path has no scikit-learn. The tests hold them against it.

Every function takes `target` (N,) and `prediction` (N,), probabilities in [0, 1]; a soft target above 0.5 is positive.
Rows whose target or prediction is NaN (unknown label, unreadable image) do not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsna.errors import InputError

Floats = NDArray[np.float64]

TOLERANCE = 0.01  # of F1: as far as two folds or two seeds easily differ, so thresholds this close are equally good


@dataclass(frozen=True)
class Threshold:
    """A decision threshold: a unit is positive where its prediction is greater.

    Attributes:
        value: The best threshold, half-way between the predictions on its two sides.
        low: Every threshold in [low, high] scores within the tolerance of the best.
        high: See `low`.
        score: The F1 at `value`.
    """

    value: float
    low: float
    high: float
    score: float


def probabilistic_f1(target: ArrayLike, prediction: ArrayLike, beta: float = 1.0) -> float:
    """The competition's probabilistic F-score: predictions count as fractions of a positive call.

    With binary predictions it is the ordinary F-score. NaN without positives, where the original divides by zero.
    Source: Razzhigaev et al., https://aclanthology.org/2020.eval4nlp-1.9, and the competition's evaluation page.
    """
    positive, score = _known(target, prediction)
    if not positive.any():
        return float("nan")
    score = np.clip(score, 0, 1)
    hits, called = score[positive].sum(), score.sum()
    return float((1 + beta**2) * hits / (beta**2 * positive.sum() + called))


def roc_auc(target: ArrayLike, prediction: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive outranks a negative, ties counting half.

    NaN where only one class is present.
    """
    positive, score = _known(target, prediction)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2  # the mean rank of tied scores, from 1
    return float((rank[place][positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(target: ArrayLike, prediction: ArrayLike) -> float:
    """Area under the precision-recall curve as a step function, like scikit-learn's. NaN without positives."""
    _, hits, called, positives = _cuts(target, prediction)
    if not positives:
        return float("nan")
    return float(np.sum(np.diff(hits, prepend=0) / positives * hits / called))


def f1_curve(target: ArrayLike, prediction: ArrayLike) -> tuple[Floats, Floats]:
    """F1 at every threshold that makes a difference.

    Returns:
        Thresholds (K,), descending, each half-way between neighbouring predictions; the last one calls every unit
        positive. And the F1 (K,) at each. K is the number of distinct predictions.

    Raises:
        InputError: Without positives, where F1 says nothing.
    """
    values, hits, called, positives = _cuts(target, prediction)
    if not positives:
        raise InputError("the predictions hold no positive, so no threshold can be fitted; add folds that have some")
    below = np.append(values[1:], np.nextafter(values[-1], -np.inf))
    middle = below + (values - below) / 2
    thresholds = np.where(middle < values, middle, below)  # neighbours one rounding step apart have no middle
    return thresholds, 2 * hits / (called + positives)


def best_threshold(target: ArrayLike, prediction: ArrayLike, tolerance: float = TOLERANCE) -> Threshold:
    """The threshold of the highest F1 among all possible ones, in O(N log N). Of equals, the highest.

    Raises:
        InputError: Without positives.
    """
    thresholds, f1 = f1_curve(target, prediction)
    best = int(np.argmax(f1))
    worse = np.flatnonzero(f1 < f1[best] - tolerance)
    first = worse[worse < best].max(initial=-1) + 1
    last = worse[worse > best].min(initial=len(f1)) - 1
    return Threshold(float(thresholds[best]), float(thresholds[last]), float(thresholds[first]), float(f1[best]))


def scores_at(target: ArrayLike, prediction: ArrayLike, threshold: float) -> dict[str, float]:
    """`f1`, `precision`, `recall` and `specificity` of the calls `prediction > threshold`; NaN where undefined."""
    positive, score = _known(target, prediction)
    called = score > threshold
    hits = float((called & positive).sum())
    return {
        "f1": _ratio(2 * hits, positive.sum() + called.sum()) if positive.any() else float("nan"),
        "precision": _ratio(hits, called.sum()),
        "recall": _ratio(hits, positive.sum()),
        "specificity": _ratio((~called & ~positive).sum(), (~positive).sum()),
    }


def binary_metrics(target: ArrayLike, prediction: ArrayLike, threshold: float | None = None) -> dict[str, float]:
    """All of the above in one table: `auc`, `ap`, their mean `mean_auc`, `pf1`, `best_f1` and its `threshold`.

    With `threshold`, also `scores_at` it. Every value is NaN where the classes present leave it undefined.
    """
    auc, precision = roc_auc(target, prediction), average_precision(target, prediction)
    defined = not np.isnan(precision)
    best = best_threshold(target, prediction) if defined else Threshold(*[float("nan")] * 4)
    return {
        "auc": auc,
        "ap": precision,
        "mean_auc": (auc + precision) / 2,
        "pf1": probabilistic_f1(target, prediction),
        "best_f1": best.score,
        "threshold": best.value,
        **({} if threshold is None else scores_at(target, prediction, threshold)),
    }


def _known(target: ArrayLike, prediction: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    """Which rows are positive, and their predictions, over the rows that are known."""
    truth, score = np.asarray(target, np.float64), np.asarray(prediction, np.float64)
    known = ~(np.isnan(truth) | np.isnan(score))
    return truth[known] > 0.5, score[known]


def _cuts(target: ArrayLike, prediction: ArrayLike) -> tuple[Floats, Floats, Floats, int]:
    """Calling positive what reaches each distinct prediction, from the highest: values, hits, calls (K,); positives."""
    positive, score = _known(target, prediction)
    values, place = np.unique(-score, return_inverse=True)
    hits: Floats = np.cumsum(np.bincount(place, weights=positive, minlength=len(values)))
    called: Floats = np.cumsum(np.bincount(place, minlength=len(values))).astype(np.float64)
    return -values, hits, called, int(positive.sum())


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
