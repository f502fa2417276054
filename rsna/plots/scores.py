"""What the predictions are worth: curves, histogram and threshold, from a table of one row per scored unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from rsna.competitions.metrics import Threshold, average_precision, roc_auc
from rsna.plots.style import BLUE, GREEN, GREY, ORANGE, legend_below, saved_figure, say

BINS = 40
ONE_CLASS = "needs positives and negatives"


def target_names(predictions: pd.DataFrame) -> list[str]:
    """The targets that the table has both as `target_*` and as `pred_*`."""
    names = [str(name).removeprefix("target_") for name in predictions if str(name).startswith("target_")]
    return [name for name in names if f"pred_{name}" in predictions]


def truth_and_score(predictions: pd.DataFrame, target: str) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which rows are positive (N,) and their predictions (N,) in [0, 1], over the rows where both are known."""
    truth = predictions[f"target_{target}"].to_numpy(np.float64)
    score = predictions[f"pred_{target}"].to_numpy(np.float64)
    known = ~(np.isnan(truth) | np.isnan(score))
    return truth[known] > 0.5, score[known]


def plot_roc(path: Path, predictions: pd.DataFrame) -> Path:
    """The ROC curve of every target."""
    from sklearn.metrics import roc_curve

    with saved_figure(path) as (axes,):
        for target in target_names(predictions):
            truth, score = truth_and_score(predictions, target)
            if truth.any() and not truth.all():
                false_alarms, hits, _ = roc_curve(truth, score)
                axes.plot(false_alarms, hits, label=f"{target}, area {roc_auc(truth, score):.3f}")
        if axes.lines:
            axes.plot((0, 1), (0, 1), color=GREY, linestyle=":", linewidth=1, label="guess")
        _finish(axes, "ROC curve", "false positive rate", "true positive rate")
    return path


def plot_precision_recall(path: Path, predictions: pd.DataFrame) -> Path:
    """The precision-recall curve of every target, with the precision of a blind guess."""
    from sklearn.metrics import precision_recall_curve

    with saved_figure(path) as (axes,):
        for target in target_names(predictions):
            truth, score = truth_and_score(predictions, target)
            if truth.any() and not truth.all():
                precision, recall, _ = precision_recall_curve(truth, score)
                label = f"{target}, average precision {average_precision(truth, score):.3f}, guess {truth.mean():.3f}"
                (line,) = axes.step(recall, precision, where="post", label=label)
                axes.axhline(truth.mean(), color=line.get_color(), linestyle=":", linewidth=1)
        _finish(axes, "Precision and recall", "recall", "precision")
    return path


def plot_score_histogram(path: Path, predictions: pd.DataFrame, threshold: Threshold | None) -> Path:
    """How each class of the first target scores. Bars are shares of their class, so that rare positives are seen."""
    with saved_figure(path) as (axes,):
        target = target_names(predictions)[0]
        truth, score = truth_and_score(predictions, target)
        axes.set(title=f"Scores of {target}", xlabel="prediction", ylabel="share of the class, %")
        if not truth.size:
            say(axes, "no prediction has a known target")
            return path
        edges = np.histogram_bin_edges(score, BINS)  # common to both classes; a young model's scores lie close together
        for positive, name, colour in ((False, "negative", BLUE), (True, "positive", ORANGE)):
            part = score[truth == positive]
            if part.size:
                share = np.full(part.size, 100 / part.size)
                axes.hist(part, edges.tolist(), weights=share, color=colour, alpha=0.6, label=f"{name} ({part.size})")
        if threshold:
            axes.axvline(threshold.value, color=GREY, linestyle="--", label=f"threshold {threshold.value:.3f}")
        legend_below(axes)
    return path


def plot_threshold(path: Path, predictions: pd.DataFrame, threshold: Threshold | None) -> Path:
    """F1, precision and recall of the first target over the threshold, the chosen one and the range as good as it."""
    from sklearn.metrics import precision_recall_curve

    with saved_figure(path) as (axes,):
        target = target_names(predictions)[0]
        truth, score = truth_and_score(predictions, target)
        axes.set(title=f"Threshold of {target}", xlabel="threshold", ylabel="score", ylim=(0, 1.02))
        if not truth.any():
            say(axes, "needs positives")
            return path
        precision, recall, cuts = precision_recall_curve(truth, score)
        precision, recall = precision[:-1], recall[:-1]  # the last pair stands for calling nothing
        f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
        for values, name, colour in ((f1, "F1", BLUE), (precision, "precision", ORANGE), (recall, "recall", GREEN)):
            axes.step(cuts, values, where="pre", color=colour, label=name)
        if threshold:
            axes.axvspan(threshold.low, threshold.high, color=GREY, alpha=0.15, linewidth=0)
            label = f"chosen: {threshold.value:.3f} (as good: {threshold.low:.3f} to {threshold.high:.3f})"
            axes.axvline(threshold.value, color=GREY, linestyle="--", label=label)
        legend_below(axes, columns=2)
    return path


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    if axes.lines:
        legend_below(axes, columns=1)
    else:
        say(axes, ONE_CLASS)
