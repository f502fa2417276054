"""Metrics as tables, as laws, and against the competition's own code and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from rsna.competitions.metrics import (
    average_precision,
    best_threshold,
    binary_metrics,
    f1_curve,
    probabilistic_f1,
    roc_auc,
    scores_at,
)
from rsna.errors import InputError

NAN = float("nan")
GRID = st.sampled_from([0.0, 0.1, 0.1 + 2**-56, 0.25, 0.5, 0.75, 1.0])  # few values, so that ties are common
PAIRS = st.lists(st.tuples(st.integers(0, 1), st.one_of(GRID, st.floats(0, 1))), min_size=1, max_size=60)


def pfbeta(labels: list[int], predictions: list[float], beta: float) -> float:
    """The evaluation code that the competition published."""
    y_true_count = 0
    ctp = 0.0
    cfp = 0.0
    for idx in range(len(labels)):
        prediction = min(max(predictions[idx], 0), 1)
        if labels[idx]:
            y_true_count += 1
            ctp += prediction
        else:
            cfp += prediction
    beta_squared = beta * beta
    c_precision = ctp / (ctp + cfp)
    c_recall = ctp / y_true_count
    if c_precision > 0 and c_recall > 0:
        return (1 + beta_squared) * (c_precision * c_recall) / (beta_squared * c_precision + c_recall)
    return 0


@pytest.mark.parametrize(
    ("target", "prediction", "expected"),
    [
        ([1, 0], [1, 0], 1.0),
        ([1, 0], [0, 1], 0.0),
        ([1, 0], [0.5, 0.5], 0.5),
        ([1, 1, 0, 0], [1, 0, 1, 0], 0.5),
        ([1, 0, 0, 0], [1, 1, 1, 1], 0.4),
        ([1, 0], [0, 0], 0.0),  # the original divides by zero
        ([1, 0], [7, -3], 1.0),  # clipped to [0, 1]
        ([1, 0, NAN, 1], [1, 0, 1, NAN], 1.0),  # unknown rows do not count
        ([0.9, 0.1], [1, 0], 1.0),  # soft targets
        ([0, 0], [0.5, 0.5], NAN),
        ([], [], NAN),
    ],
)
def test_probabilistic_f1(target: list[float], prediction: list[float], expected: float) -> None:
    assert probabilistic_f1(target, prediction) == pytest.approx(expected, nan_ok=True)


@given(PAIRS, st.sampled_from([0.5, 1.0, 2.0]))
def test_probabilistic_f1_is_the_competitions(pairs: list[tuple[int, float]], beta: float) -> None:
    target, prediction = [p[0] for p in pairs] + [1], [p[1] for p in pairs] + [0.5]
    assert probabilistic_f1(target, prediction, beta) == pytest.approx(pfbeta(target, prediction, beta), abs=1e-12)


@pytest.mark.parametrize(
    ("target", "prediction", "auc", "precision"),
    [
        ([0, 1], [0.1, 0.9], 1.0, 1.0),
        ([0, 1], [0.9, 0.1], 0.0, 0.5),
        ([0, 1], [0.5, 0.5], 0.5, 0.5),
        ([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.75, 5 / 6),
        ([0, 0], [0.1, 0.9], NAN, NAN),
        ([1, 1], [0.1, 0.9], NAN, 1.0),
        ([], [], NAN, NAN),
        ([0, 1, 1], [0.1, 0.9, NAN], 1.0, 1.0),
    ],
)
def test_ranking_metrics(target: list[float], prediction: list[float], auc: float, precision: float) -> None:
    assert roc_auc(target, prediction) == pytest.approx(auc, nan_ok=True)
    assert average_precision(target, prediction) == pytest.approx(precision, nan_ok=True)


@given(PAIRS)
def test_ranking_metrics_are_scikit_learns(pairs: list[tuple[int, float]]) -> None:
    target, prediction = [0, 1] + [p[0] for p in pairs], [0.25, 0.25] + [p[1] for p in pairs]
    assert roc_auc(target, prediction) == pytest.approx(roc_auc_score(target, prediction), abs=1e-12)
    assert average_precision(target, prediction) == pytest.approx(
        average_precision_score(target, prediction), abs=1e-12
    )


@pytest.mark.parametrize(
    ("target", "prediction", "value", "score"),
    [
        ([0, 1], [0.2, 0.8], 0.5, 1.0),
        ([0, 1, 1, 0], [0.1, 0.4, 0.8, 0.2], 0.3, 1.0),
        ([1, 0, 1], [0.9, 0.9, 0.1], -1e-9, 0.8),  # tied predictions cannot be told apart: call all
        ([1, 0, 0, 0], [0.7, 0.9, 0.5, 0.1], 0.6, 2 / 3),
        ([1, 1, 0], [0.9, 0.5, 0.7], 0.1, 0.8),
    ],
)
def test_best_threshold(target: list[int], prediction: list[float], value: float, score: float) -> None:
    best = best_threshold(target, prediction)
    assert best.score == pytest.approx(score)
    assert scores_at(target, prediction, best.value)["f1"] == pytest.approx(score)
    assert scores_at(target, prediction, value)["f1"] == pytest.approx(score)


def test_a_threshold_lies_half_way_between_its_neighbours_and_the_highest_of_equals_wins() -> None:
    assert best_threshold([0, 1], [0.25, 0.75]).value == 0.5
    assert best_threshold([1, 0, 0, 1], [0.8, 0.6, 0.4, 0.2]).value == pytest.approx(0.7)  # 0.7 and below 0.2: 2/3 each


@given(PAIRS, st.floats(0, 0.3))
def test_the_search_is_exact_and_its_range_holds(pairs: list[tuple[int, float]], tolerance: float) -> None:
    target, prediction = [p[0] for p in pairs] + [1], [p[1] for p in pairs] + [0.5]
    best = best_threshold(target, prediction, tolerance)
    every = [f1_score(target, np.asarray(prediction) > t) for t in {-1.0, *prediction}]
    assert best.score == pytest.approx(max(every), abs=1e-12)
    assert best.low <= best.value <= best.high
    assert scores_at(target, prediction, best.value)["f1"] == pytest.approx(best.score, abs=1e-12)
    inside = [t for t in prediction if best.low <= t <= best.high]
    for threshold in (best.low, best.high, *inside):
        assert scores_at(target, prediction, threshold)["f1"] >= best.score - tolerance - 1e-12


def test_the_curve_covers_every_distinct_prediction() -> None:
    thresholds, f1 = f1_curve([1, 0, 1, 0], [0.8, 0.8, 0.4, 0.2])
    assert thresholds[:2] == pytest.approx([0.6, 0.3])
    assert thresholds[2] < 0.2
    assert f1 == pytest.approx([0.5, 0.8, 2 / 3])


def test_the_threshold_of_a_large_set_is_exact_too() -> None:
    random = np.random.default_rng(0)
    target = random.random(24_000) < 0.02
    prediction = np.clip(random.normal(0.2 + 0.3 * target, 0.1), 0, 1).astype(np.float32)
    best = best_threshold(target, prediction)
    grid = [f1_score(target, prediction > t) for t in np.linspace(0, 1, 101)]
    assert max(grid) <= best.score <= max(grid) + 0.01


@pytest.mark.parametrize("target", [[0, 0, 0], [], [NAN]])
def test_no_threshold_without_positives(target: list[float]) -> None:
    with pytest.raises(InputError, match="hold no positive"):
        best_threshold(target, [0.5] * len(target))


def test_one_class_gives_nan_and_no_crash() -> None:
    negative = binary_metrics([0, 0], [0.2, 0.6], threshold=0.5)
    assert all(math.isnan(negative[name]) for name in ("auc", "ap", "mean_auc", "pf1", "best_f1", "threshold", "f1"))
    assert negative["specificity"] == 0.5
    positive = binary_metrics([1, 1], [0.2, 0.6], threshold=0.5)
    assert all(math.isnan(positive[name]) for name in ("auc", "mean_auc", "specificity"))
    assert positive["best_f1"] == 1


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.5, {"f1": 0.5, "precision": 0.5, "recall": 0.5, "specificity": 0.5}),
        (0.9, {"f1": 0.0, "precision": NAN, "recall": 0.0, "specificity": 1.0}),
        (0.6, {"f1": 0.0, "precision": 0.0, "recall": 0.0, "specificity": 0.5}),  # 0.6 itself is not called
    ],
)
def test_scores_at(threshold: float, expected: dict[str, float]) -> None:
    scores = scores_at([1, 1, 0, 0], [0.6, 0.1, 0.7, 0.2], threshold)
    assert scores == pytest.approx(expected, nan_ok=True)
