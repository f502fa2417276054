"""Figures of what is decided after training: calibration, ways to choose a threshold, groups of units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.plots.style import BLUE, COLOURS, GREY, legend_below, saved_figure, say


def plot_calibration(path: Path, curves: Mapping[str, pd.DataFrame]) -> Path:
    """Observed over predicted rates, both logarithmic since positives are rare.

    Args:
        path: The PNG file.
        curves: By method: `predicted`, `observed` and `units` of bins, as `rsna.ensembling.calibration.reliability`.
    """
    with saved_figure(path) as (axes,):
        known = {name: curve[(curve["observed"] > 0) & (curve["predicted"] > 0)] for name, curve in curves.items()}
        values = [curve[["predicted", "observed"]].to_numpy().min() for curve in known.values() if len(curve)]
        low = float(min(values, default=0))
        axes.set(title="Calibration", xlabel="predicted rate", ylabel="observed rate")
        if not low:
            say(axes, "no bin has a positive")
            return path
        axes.plot((low, 1), (low, 1), color=GREY, linestyle=":", linewidth=1, label="perfect")
        for name, curve in known.items():
            axes.plot(curve["predicted"], curve["observed"], marker="o", markersize=4, label=name)
        axes.set(xscale="log", yscale="log")
        legend_below(axes, columns=4)
    return path


def plot_cuts(path: Path, rules: Sequence[str], scores: Sequence[float], ranges: Sequence[tuple[float, float]]) -> Path:
    """The F1 (C,) of each way to choose a threshold, with its interval over drawn patients."""
    with saved_figure(path) as (axes,):
        places, values = np.arange(len(rules)), np.asarray(scores)
        low, high = np.asarray(ranges).T
        axes.errorbar(places, values, yerr=(values - low, high - values), fmt="o", color=BLUE, capsize=4)
        axes.set(title="Thresholds", xlabel="rule", ylabel="F1, 90 % of the draws")
        axes.set_xticks(places, rules)
    return path


def plot_groups(path: Path, groups: Mapping[str, pd.DataFrame], metric: str) -> Path:
    """A metric of groups of units, one panel per column; a dot's size says how many positives it rests on.

    Args:
        path: The PNG file.
        groups: By column (`site_id`): one row per value with the metric, `units` and `positives`.
        metric: A column of the tables.
    """
    with saved_figure(path, columns=max(1, len(groups))) as panels:
        for axes, (column, table) in zip(panels, groups.items(), strict=False):
            axes.set(title=f"{metric} by {column}", xlabel=column, ylabel=metric)
            rows = table[table[metric].notna()]
            if rows.empty:
                say(axes, "needs positives and negatives")
                continue
            sizes = 20 + 180 * rows["positives"] / rows["positives"].max()
            axes.scatter(np.arange(len(rows)), rows[metric], s=sizes, color=COLOURS[0])
            counts = zip(rows.index, rows["positives"], rows["units"], strict=True)
            labels = [f"{value}\n{positives:.0f} of {units:.0f}" for value, positives, units in counts]
            axes.set_xticks(np.arange(len(rows)), labels, fontsize=7)
        if not groups:
            say(panels[0], "the image table has no column to group by")
    return path
