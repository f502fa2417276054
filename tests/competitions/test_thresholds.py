"""Thresholds with their intervals, against the plain way to compute them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from rsna.competitions.metrics import best_threshold
from rsna.competitions.thresholds import choose_threshold, report_thresholds
from rsna.errors import InputError


def population(seed: int, size: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    random = np.random.default_rng(seed)
    target = random.random(size) < 0.2
    target[0] = True
    return target, np.round(random.random(size) * 0.5 + 0.3 * target, 2), [str(i // 2) for i in range(size)]


@given(st.integers(0, 10_000), st.integers(10, 60), st.floats(1, 99))
@settings(max_examples=60, deadline=None)
def test_a_percentile_leaves_its_share_below(seed: int, size: int, percent: float) -> None:
    target, score, _ = population(seed, size)
    chosen = choose_threshold(target, score, f"p{percent:g}")
    assert (
        abs((score <= chosen.value).mean() - percent / 100)
        <= (np.unique(score, return_counts=True)[1].max() + 1) / size
    )
    assert chosen.score == pytest.approx(f1_score(target, score > chosen.value))
    assert chosen.low <= chosen.value <= chosen.high
    assert f1_score(target, score > chosen.low) >= chosen.score - 0.0101
    assert f1_score(target, score > chosen.high) >= chosen.score - 0.0101
    assert chosen.score <= best_threshold(target, score).score + 1e-12


def test_the_bootstrap_draws_patients_and_finds_what_a_loop_finds() -> None:
    target, score, groups = population(3, 80)
    report = report_thresholds(target, score, groups, percentiles=(0.8,), draws=200, seed=5)
    random, names = np.random.default_rng(5), np.unique(groups)
    places, fixed = [], []
    for _ in range(200):
        weight = dict(zip(names, random.multinomial(len(names), np.full(len(names), 1 / len(names))), strict=True))
        rows = np.repeat(np.arange(80), [weight[group] for group in groups])
        places.append(best_threshold(target[rows], score[rows]))
        fixed.append(f1_score(target[rows], score[rows] > report.cuts[1].value))
    assert report.groups == 40
    found = [report.score_low, report.score_high]
    assert found == pytest.approx(np.quantile([place.score for place in places], [0.05, 0.95]))
    assert [report.cuts[1].score_low, report.cuts[1].score_high] == pytest.approx(np.quantile(fixed, [0.05, 0.95]))
    assert report.low <= report.best.value <= report.high
    assert report.expected <= report.best.score  # no threshold of a draw beats the best one on all


def test_more_patients_make_the_interval_narrower() -> None:
    widths = []
    for size in (200, 5000):
        target, score, groups = population(0, size)
        report = report_thresholds(target, score, groups, draws=100)
        widths.append(report.score_high - report.score_low)
    assert widths[1] < widths[0] / 2


@pytest.mark.parametrize("rule", ["p0", "p100", "p", "pnan", "0.98", "median", "p1e400"])
def test_an_unknown_rule_is_one_line(rule: str) -> None:
    with pytest.raises(InputError, match=r"no threshold rule .*p98\.2"):
        choose_threshold([0, 1], [0.1, 0.9], rule)


def test_without_positives_there_is_nothing_to_choose() -> None:
    for rule in ("best", "p98"):
        with pytest.raises(InputError, match="hold no positive"):
            choose_threshold([0, 0], [0.1, 0.9], rule)
