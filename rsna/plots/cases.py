"""The cases that the model judged worst, for a person to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.plots.scores import target_names
from rsna.plots.style import BLUE, ORANGE, saved_figure, say

COLUMNS = 6
MAX_VIEWS = 3  # pictures of one case beside each other; more are too small to judge


def hardest_cases(predictions: pd.DataFrame, count: int = COLUMNS) -> pd.DataFrame:
    """The units that are most wrong: the positives that score lowest, then the negatives that score highest.

    Args:
        predictions: One row per scored unit: `prediction_id`, `target_*`, `pred_*`; the first target is looked at.
        count: At most so many of each kind.

    Returns:
        `prediction_id`, `kind` (`positive` or `negative`), `score`; the worst of each kind first.
    """
    target = target_names(predictions)[0]
    known = predictions.dropna(subset=[f"target_{target}", f"pred_{target}"])
    table = pd.DataFrame(
        {
            "prediction_id": known["prediction_id"].astype(str),
            "kind": np.where(known[f"target_{target}"] > 0.5, "positive", "negative"),
            "score": known[f"pred_{target}"],
        }
    ).sort_values(["score", "prediction_id"], ignore_index=True)
    missed = table[table["kind"] == "positive"].head(count)
    alarms = table[table["kind"] == "negative"].tail(count)[::-1]
    return pd.concat([missed, alarms], ignore_index=True)


def plot_hardest_cases(path: Path, predictions: pd.DataFrame, pictures: Mapping[str, Sequence[np.ndarray]]) -> Path:
    """A row of low-scoring positives above a row of high-scoring negatives, each with its id and score.

    Args:
        path: The PNG file.
        predictions: As for `hardest_cases`.
        pictures: The grey pictures (H, W) of each unit, by `prediction_id`; units without any are left out.
    """
    cases = hardest_cases(predictions)
    cases = cases[cases["prediction_id"].isin(list(pictures))]
    with saved_figure(path, rows=2, columns=COLUMNS, width=2.2, height=2.7) as panels:
        for axes in panels:
            axes.axis("off")
            axes.set_anchor("NW")  # under the title, however flat the picture
        for kind, colour, row in (("positive", ORANGE, panels[:COLUMNS]), ("negative", BLUE, panels[COLUMNS:])):
            chosen = cases[cases["kind"] == kind]
            if chosen.empty:
                say(row[0], f"no {kind} to show")
            for axes, case in zip(row, chosen.itertuples(), strict=False):
                axes.imshow(side_by_side(pictures[str(case.prediction_id)][:MAX_VIEWS]), cmap="gray")
                name = _short(str(case.prediction_id))
                axes.set_title(f"{name}\n{kind}, scored {case.score:.3f}", color=colour, fontsize=9)
    return path


def side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Grey pictures (H_i, W_i) as one (max H, sum of W + gaps): bright lines between them, black below lower ones."""
    height = max(picture.shape[0] for picture in pictures)
    line = np.full((height, max(1, height // 100)), max(picture.max() for picture in pictures), pictures[0].dtype)
    parts = [np.pad(picture, ((0, height - picture.shape[0]), (0, 0))) for picture in pictures]
    return np.hstack([piece for part in parts for piece in (line, part)][1:])


def _short(identifier: str, limit: int = 24) -> str:
    return identifier if len(identifier) <= limit else f"{identifier[: limit - 1]}…"
