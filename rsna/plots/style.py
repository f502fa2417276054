"""The one look of all figures, drawn without a display and without matplotlib's global figure list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsna.io import atomic_path

# Okabe and Ito's colours, told apart by colour-blind readers too: https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
COLOURS = (BLUE, ORANGE, GREEN, PINK, "#E69F00", "#56B4E9", "#000000")
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelcolor": "#333333",
    "axes.prop_cycle": cycler(linestyle=("-", "--")) * cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
WIDTH, HEIGHT = 5.6, 4.2  # inches of one panel
DPI = 100


@contextmanager
def saved_figure(
    path: str | Path, rows: int = 1, columns: int = 1, width: float = WIDTH, height: float = HEIGHT
) -> Iterator[list[Axes]]:
    """Yield the panels of a new figure, row by row, and write it to a PNG file when the block ends.

    Args:
        path: The file.
        rows: Panels from top to bottom.
        columns: Panels from left to right.
        width: Of one panel, inches.
        height: Of one panel, inches.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
        yield list(figure.subplots(rows, columns, squeeze=False).flat)
        with atomic_path(path) as part:
            figure.savefig(part, dpi=DPI, format="png", metadata={"Software": None})  # same figure, same bytes


def legend_below(axes: Axes, columns: int = 3) -> None:
    """The legend under the panel, where it never covers a curve."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=columns)


def say(axes: Axes, text: str) -> None:
    """Write a sentence into an empty panel: why there is nothing to see."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, wrap=True)
    axes.set(xticks=[], yticks=[])
