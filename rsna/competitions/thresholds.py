"""Thresholds with what is known about them: the best one, percentiles of predictions, and how far chance moves them.

All functions take `target` (N,) and `prediction` (N,) per scored unit; rows where either is NaN do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsna.competitions.metrics import TOLERANCE, Threshold, best_threshold, f1_curve, scores_at
from rsna.errors import InputError

Floats = NDArray[np.float64]

PERCENTILES = (0.980, 0.981, 0.982, 0.983, 0.984)  # shares of units called negative, of the sixth place in RSNA 2023
DRAWS = 1000
COVERAGE = 0.9  # of the intervals


@dataclass(frozen=True)
class Cut:
    """One way to choose a threshold, and what it gives on the predictions that it was chosen on.

    Attributes:
        rule: `best`, or `p98.2` for the percentile.
        value: The threshold.
        called: The share of units above it.
        f1, precision, recall: Of the calls above it.
        score_low, score_high: The F1 at this very threshold in 90 % of the bootstrap draws.
    """

    rule: str
    value: float
    called: float
    f1: float
    precision: float
    recall: float
    score_low: float
    score_high: float


@dataclass(frozen=True)
class ThresholdReport:
    """All that a person needs to choose a threshold.

    Attributes:
        best: The threshold of the highest F1, with the range that is as good.
        low, high: Where the best threshold lies in 90 % of the bootstrap draws.
        score_low, score_high: The F1 that is the best in each draw, likewise.
        expected: What the best threshold of one draw scores on all units, on average: without the luck of the choice.
        cuts: The best threshold and the percentiles.
        groups: What was drawn: patients, or units where patients are unknown.
        draws: How many times.
    """

    best: Threshold
    low: float
    high: float
    score_low: float
    score_high: float
    expected: float
    cuts: tuple[Cut, ...]
    groups: int
    draws: int


def percentile_threshold(prediction: ArrayLike, share: float) -> float:
    """The threshold that leaves a share of the units, in (0, 1), at or below it."""
    if not 0 < share < 1:
        raise InputError(f"a percentile threshold is a share of the units in (0, 1), got {share:g}")
    values = np.asarray(prediction, np.float64)
    return float(np.quantile(values[~np.isnan(values)], share))


def choose_threshold(target: ArrayLike, prediction: ArrayLike, rule: str) -> Threshold:
    """The threshold of a rule: `best`, or `p98.2` for the percentile 98.2 of the predictions.

    Raises:
        InputError: For another rule, and without positives.
    """
    if rule == "best":
        return best_threshold(target, prediction)
    try:
        share = float(rule.removeprefix("p")) / 100 if rule.startswith("p") else float("nan")
    except ValueError:
        share = float("nan")
    if not 0 < share < 1:
        raise InputError(f"there is no threshold rule {rule!r}; write best, or a percentile such as p98.2")
    value = percentile_threshold(prediction, share)
    score = scores_at(target, prediction, value)["f1"]
    thresholds, f1 = f1_curve(target, prediction)
    low, high = _as_good(thresholds, f1, value, score)
    return Threshold(value, low, high, score)


def _as_good(thresholds: Floats, f1: Floats, value: float, score: float) -> tuple[float, float]:
    """The thresholds (descending) next to a value between which none scores worse than its score by the tolerance."""
    worse = thresholds[f1 < score - TOLERANCE]
    above, below = worse[worse > value].min(initial=np.inf), worse[worse <= value].max(initial=-np.inf)
    inside = np.append(thresholds[(thresholds < above) & (thresholds > below)], value)
    return float(inside.min()), float(inside.max())


def report_thresholds(
    target: ArrayLike,
    prediction: ArrayLike,
    group: Sequence[str],
    percentiles: Sequence[float] = PERCENTILES,
    draws: int = DRAWS,
    seed: int = 0,
) -> ThresholdReport:
    """Thresholds, and intervals from drawing the groups again with replacement.

    Args:
        target: (N,), above 0.5 is positive.
        prediction: (N,), in [0, 1].
        group: (N,) of each unit: its patient. Units of one patient are not independent, so patients are drawn.
        percentiles: Shares of units that are called negative.
        draws: How often.
        seed: Of the draws.

    Raises:
        InputError: Without positives.
    """
    truth, score = np.asarray(target, np.float64), np.asarray(prediction, np.float64)
    known = ~(np.isnan(truth) | np.isnan(score))
    positive, score = truth[known] > 0.5, score[known]
    best = best_threshold(positive, score)
    values = {"best": best.value} | {f"p{100 * share:g}": percentile_threshold(score, share) for share in percentiles}
    places, scores, again, fixed = _bootstrap(
        positive, score, group_codes(group)[known], list(values.values()), draws, seed
    )
    cuts = tuple(_cut(rule, value, positive, score, fixed[:, i]) for i, (rule, value) in enumerate(values.items()))
    groups = len(np.unique(np.asarray(group)[known]))
    return ThresholdReport(
        best, *_interval(places), *_interval(scores), float(np.mean(again)), cuts, groups, len(places)
    )


def group_codes(group: Sequence[str]) -> NDArray[np.intp]:
    """The groups as numbers from 0, (N,)."""
    return np.unique(np.asarray(group), return_inverse=True)[1]


def _bootstrap(
    positive: NDArray[np.bool_], score: Floats, group: NDArray[np.intp], cuts: Sequence[float], draws: int, seed: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Per draw (D,) with a positive: its best threshold, the F1 there, the F1 there on all units; F1 at cuts (D, C)."""
    values, place = np.unique(-score, return_inverse=True)
    thresholds, all_f1 = f1_curve(positive, score)  # aligned with `values`: the k-th calls what reaches the k-th value
    reached = np.searchsorted(values, -np.asarray(cuts), side="left")  # distinct values above each cut
    random, rows = np.random.default_rng(seed), []
    _, group = np.unique(group, return_inverse=True)
    size = int(group.max()) + 1
    for _ in range(draws):
        weight = random.multinomial(size, np.full(size, 1 / size))[group].astype(np.float64)
        hits = np.cumsum(np.bincount(place, weight * positive, len(values)))
        if not hits[-1]:
            continue
        f1 = 2 * hits / (np.cumsum(np.bincount(place, weight, len(values))) + hits[-1])
        best = int(np.argmax(f1))
        rows.append((thresholds[best], f1[best], all_f1[best], *np.append(f1, 0.0)[reached - 1]))
    found = np.array(rows)
    return found[:, 0], found[:, 1], found[:, 2], found[:, 3:]


def _interval(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)


def _cut(rule: str, value: float, positive: NDArray[np.bool_], score: Floats, f1: Floats) -> Cut:
    calls = scores_at(positive, score, value)
    called = float((score > value).mean())
    return Cut(rule, value, called, calls["f1"], calls["precision"], calls["recall"], *_interval(f1))
