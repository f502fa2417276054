"""The epochs of a training so far, and what follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np


@dataclass
class History:
    """One row per epoch. The best epoch, the schedule and early stopping all derive from it, so it is all the state.

    Attributes:
        monitor: The metric that chooses between epochs.
        mode: `max` where more of it is better, `min` where less is.
        rows: One per epoch: `epoch`, `lr`, losses and metrics.
    """

    monitor: str
    mode: Literal["max", "min"] = "max"
    rows: list[dict[str, float]] = field(default_factory=list)

    @property
    def scores(self) -> list[float]:
        """The monitored metric per epoch, the higher the better; where it is undefined, no epoch is worse."""
        sign = 1 if self.mode == "max" else -1
        values = [sign * row[self.monitor] for row in self.rows]
        return [-math.inf if math.isnan(value) else value for value in values]

    @property
    def best(self) -> int:
        """The first epoch with the best score, from 0."""
        return int(np.argmax(self.scores))

    @property
    def waited(self) -> int:
        """Epochs since the best one."""
        return len(self.rows) - 1 - self.best if self.rows else 0
