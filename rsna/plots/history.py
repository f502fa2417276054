"""Curves over the epochs of one training, from its history table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rsna.plots.style import legend_below, saved_figure, say


def plot_loss(path: Path, history: pd.DataFrame) -> Path:
    """The columns `.../loss` over `epoch`."""
    with saved_figure(path) as (axes,):
        _curves(axes, history, _columns(history, "loss"))
        axes.set(title="Loss", ylabel="loss")
    return path


def plot_learning_rate(path: Path, history: pd.DataFrame) -> Path:
    """The columns `lr` and `lr/...` over `epoch`, logarithmic where they span more than a factor of 100."""
    columns = _columns(history, "lr")
    with saved_figure(path) as (axes,):
        _curves(axes, history, columns)
        axes.set(title="Learning rate", ylabel="learning rate")
        values = history[columns].to_numpy(np.float64)
        positive = values[np.isfinite(values) & (values > 0)]
        if positive.size and positive.max() > 100 * positive.min():
            axes.set_yscale("log")
    return path


def plot_metrics(path: Path, history: pd.DataFrame) -> Path:
    """The columns `group/metric` over `epoch`, one panel per group such as `image` and `unit`."""
    taken = {*_columns(history, "loss"), *_columns(history, "lr")}
    columns = [name for name in map(str, history.columns) if "/" in name and name not in taken]
    groups = list(dict.fromkeys(name.split("/")[0] for name in columns)) or [""]
    with saved_figure(path, columns=len(groups)) as panels:
        for axes, group in zip(panels, groups, strict=True):
            _curves(axes, history, [name for name in columns if name.startswith(f"{group}/")], group)
            axes.set(title=f"Metrics per {group}" if group else "Metrics", ylabel="score")
    return path


def _columns(history: pd.DataFrame, word: str) -> list[str]:
    """The columns that have `word` as a part of their name: `loss`, `train/loss`, `lr/head`."""
    return [name for name in map(str, history.columns) if word in name.split("/")]


def _curves(axes: Axes, history: pd.DataFrame, columns: list[str], group: str = "") -> None:
    known = [name for name in columns if history[name].notna().any()]
    if not known:
        say(axes, "nothing was recorded")
        return
    for name in known:
        points = history[["epoch", name]].dropna()  # an epoch without validation leaves no gap in the line
        axes.plot(points["epoch"], points[name], marker="o", markersize=3.5, label=name.removeprefix(f"{group}/"))
    axes.set_xlabel("epoch")
    axes.set_xlim(history["epoch"].min() - 0.5, history["epoch"].max() + 0.5)  # room for a single epoch
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_below(axes)
