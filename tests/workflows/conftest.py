"""A synthetic competition, prepared, with two folds trained and collected: once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsna.competitions import create_competition
from rsna.config import PrepareConfig
from rsna.config.compose import compose
from rsna.config.training import TrainConfig
from rsna.data import PreparedSet
from rsna.inference import Bundle
from rsna.preparation.folds import make_folds
from rsna.preparation.prepare import prepare
from rsna.synthetic import BreastOptions, make_breast
from rsna.tables import write_csv
from rsna.training import train
from rsna.workflows.collect import collect


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic competition in `data`, prepared in `prepared`, two trained folds in `runs/tiny`."""
    root = tmp_path_factory.mktemp("trained")
    places = [f"env.data={root}/data", f"env.prepared={root}/prepared", "env.workers=1", "data=breast_256"]
    size = ["data.imaging.height=96", "data.imaging.width=64", "data.input.height=64", "data.input.width=32"]
    make_breast(root / "data", BreastOptions(10, 2, scale=0.03, seed=1, positive_rate=0.4))
    prepare(compose(PrepareConfig, "prepare", [*places, *size[:2]]))
    pictures = PreparedSet.open(root / "prepared")
    write_csv(root / "prepared" / "folds.csv", make_folds(create_competition("breast"), pictures.table, 2, 0))
    run = ["debug=smoke", "name=tiny", "fold=all", "limit=0", "trainer.epochs=1", f"env.runs={root}/runs"]
    train(compose(TrainConfig, "train", [*run, *places, *size, "env.workers=0"]))
    return root


@pytest.fixture(scope="session")
def bundle(trained: Path) -> Bundle:
    """The two folds as a bundle."""
    return collect([trained / "runs/tiny"], trained / "models/tiny")
