"""All figures of one training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.competitions.metrics import Threshold
from rsna.plots.cases import plot_hardest_cases
from rsna.plots.history import plot_learning_rate, plot_loss, plot_metrics
from rsna.plots.scores import plot_precision_recall, plot_roc, plot_score_histogram, plot_threshold, target_names


def write_run_plots(
    run_dir: str | Path,
    history: pd.DataFrame,
    predictions: pd.DataFrame,
    threshold: Threshold | None,
    pictures: Mapping[str, Sequence[np.ndarray]],
) -> list[Path]:
    """Write the figures of a run to `<run_dir>/plots/` and return their paths.

    Args:
        run_dir: The run folder.
        history: One row per epoch: `epoch`, `train/loss` and the like, `lr` or `lr/<group>`, and metrics as
            `image/auc`, `unit/auc`.
        predictions: One row per scored unit, as `Competition.aggregate` makes it: `prediction_id`, `target_*`, `pred_*`
            in [0, 1].
        threshold: The chosen threshold of the first target, or None where there is none.
        pictures: The grey pictures (H, W) of each unit by `prediction_id`, at least of those that
            `hardest_cases(predictions)` names; empty for no such figure.
    """
    folder = Path(run_dir) / "plots"
    paths = [
        plot_loss(folder / "loss.png", history),
        plot_metrics(folder / "metrics.png", history),
        plot_learning_rate(folder / "learning_rate.png", history),
    ]
    if target_names(predictions):
        paths += [
            plot_roc(folder / "roc.png", predictions),
            plot_precision_recall(folder / "precision_recall.png", predictions),
            plot_score_histogram(folder / "scores.png", predictions, threshold),
            plot_threshold(folder / "threshold.png", predictions, threshold),
        ]
        if pictures:
            paths.append(plot_hardest_cases(folder / "hardest_cases.png", predictions, pictures))
    return paths
