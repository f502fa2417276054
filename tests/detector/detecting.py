"""What the tests of the detector share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsna.config.compose import compose
from rsna.config.detector import DetectConfig


def configure(lab: Path, name: str, overrides: Sequence[str] = ()) -> DetectConfig:
    """A small detector on the competition of a folder, with one thread and one worker."""
    return compose(
        DetectConfig, "detect", [*places(lab, name), "detector.channels=32", "scheduler.warmup=1", *overrides]
    )


def places(lab: Path, name: str) -> list[str]:
    """Where things are."""
    return [
        f"images={lab}/data/train_images",
        f"boxes={lab}/truth/boxes.csv",
        f"env.runs={lab}/runs",
        f"name={name}",
        "env.workers=1",
        "threads=1",
        "held_out=0.3",
    ]


def yolox_output(box: tuple[float, float, float, float], score: float, stride: int) -> np.ndarray:
    """What a YOLOX network of 416 pixels and one class says of one box (centre x, centre y, width, height).

    Written from the paper's description, one cell after the other.
    """
    rows = []
    for step in (8, 16, 32):
        for row in range(416 // step):
            for column in range(416 // step):
                inside = step == stride and int(box[0] / step) == column and int(box[1] / step) == row
                values = [box[0] / step - column, box[1] / step - row, np.log(box[2] / step), np.log(box[3] / step)]
                rows.append([*values, score, 1.0] if inside else [0.0, 0.0, 0.0, 0.0, 0.01, 0.5])
    return np.array(rows, np.float32)
