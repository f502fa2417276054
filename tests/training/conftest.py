"""A tiny prepared set that is quick to train on, and configs that do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.config import ImagingSpec
from rsna.config.compose import compose
from rsna.config.training import TrainConfig
from rsna.data import PreparedSpec
from rsna.imaging import write_png
from rsna.tables import write_csv, write_parquet

PATIENTS, FOLDS, HEIGHT, WIDTH = 18, 3, 64, 32


def draw_picture(random: np.random.Generator, positive: bool) -> np.ndarray:
    """Noise (H, W) uint8 on a grey breast, with a bright square where positive."""
    pixels = random.integers(60, 120, (HEIGHT, WIDTH)).astype(np.uint8)
    if positive:
        row, column = random.integers(8, HEIGHT - 24), random.integers(2, WIDTH - 18)
        pixels[row : row + 16, column : column + 16] = 250
    return pixels


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """18 patients in 3 folds, one picture of each breast; a third of the patients has a positive one."""
    folder = tmp_path_factory.mktemp("prepared")
    random = np.random.default_rng(0)
    rows = []
    for patient in range(PATIENTS):
        for side in "LR":
            positive = patient % 6 < 2 and side == "L"
            image = f"{patient}{side}"
            path = f"images/p{patient}/{image}.png"
            write_png(folder / path, draw_picture(random, positive))
            rows.append((image, f"p{patient}", f"p{patient}_{side}", path, np.float32(positive), patient // 6))
    table = pd.DataFrame(rows, columns=["image_id", "group_id", "prediction_id", "path", "target_cancer", "fold"])
    PreparedSpec("breast", ImagingSpec(height=HEIGHT, width=WIDTH), len(table), "0" * 64).write(folder)
    write_parquet(folder / "table.parquet", table.drop(columns="fold").astype({"target_cancer": np.float32}))
    write_csv(folder / "folds.csv", table[["image_id", "fold"]])
    return folder


@pytest.fixture(scope="session")
def prepared_views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 patients in 3 folds, two views of each breast but for some, with what else the training table knows."""
    folder = tmp_path_factory.mktemp("prepared_views")
    random = np.random.default_rng(1)
    rows = []
    for patient in range(12):
        for side, view in (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))[: 3 if patient % 4 == 3 else 4]:
            positive = patient % 4 < 2 and side == "LR"[patient % 2]
            image = f"{patient}{side}{view}"
            path = f"images/p{patient}/{image}.png"
            write_png(folder / path, draw_picture(random, positive))
            known = (float(positive), float(positive and patient % 3 > 0), 1.0, float(patient == 3), 40.0 + patient)
            own = (image, f"p{patient}", f"p{patient}_{side}", path, float(positive), *known)
            rows.append((*own, view, f"m{patient % 3}", str(1 + patient % 2), patient // 4))
    auxiliary = [f"aux_{name}" for name in ("biopsy", "invasive", "BIRADS", "difficult_negative_case", "age")]
    ids = ["image_id", "group_id", "prediction_id", "path"]
    kept = ["view", "machine_id", "site_id", "fold"]
    table = pd.DataFrame(rows, columns=[*ids, "target_cancer", *auxiliary, *kept])
    PreparedSpec("breast", ImagingSpec(height=HEIGHT, width=WIDTH), len(table), "0" * 64).write(folder)
    write_csv(folder / "folds.csv", table[["image_id", "fold"]])
    write_parquet(
        folder / "table.parquet",
        table.drop(columns="fold").astype(dict.fromkeys(["target_cancer", *auxiliary], np.float32)),
    )
    return folder


@pytest.fixture(scope="session")
def overrides_into(prepared: Path) -> Callable[[Path], list[str]]:
    """Overrides that make any experiment train on the tiny set in a second or two, into the given folder."""
    size = f"{{height: {HEIGHT}, width: {WIDTH}}}"
    fixed = ["debug=smoke", f"data.imaging={size}", f"data.input={size}", "limit=0", "env.workers=0"]
    return lambda runs: [*fixed, f"env.prepared={prepared}", f"env.runs={runs}"]


@pytest.fixture
def tiny_overrides(overrides_into: Callable[[Path], list[str]], tmp_path: Path) -> list[str]:
    """The same, into `tmp_path / "runs"`."""
    return overrides_into(tmp_path / "runs")


@pytest.fixture
def make_config(tiny_overrides: list[str]) -> Callable[..., TrainConfig]:
    """Composes a config that trains on the tiny set, with further overrides."""
    return lambda *overrides: compose(TrainConfig, "train", [*tiny_overrides, *overrides])


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the figures, which take most of the time of a tiny training; `test_run.py` looks at them."""
    monkeypatch.setattr("rsna.training.report.Report.write_plots", lambda *_: None)
