"""Every experiment trains to its end, and two processes train like one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from rsna.config import config_dir
from rsna.config.compose import compose
from rsna.config.training import TrainConfig
from rsna.training import train

EXPERIMENTS = sorted(path.stem for path in (config_dir() / "experiment/breast").glob("*.yaml"))
TIMEOUT = 300


@pytest.fixture
def views_overrides(tiny_overrides: list[str], prepared_views: Path) -> list[str]:
    """Overrides that train on the tiny set with views and auxiliary columns."""
    return [
        *tiny_overrides,
        f"env.prepared={prepared_views}",
        "data.imaging.keep_aspect=true",
        "data.imaging.voi=header",
    ]


@pytest.mark.usefixtures("without_plots")
@pytest.mark.parametrize(
    "overrides",
    [
        [
            "model.views.layout=breast",
            "model.views.missing=mask",
            "model.views.fusion=attention",
            "model.views.mask=0.5",
        ],
        ["model=four_view", "trainer.ema.decay=0.9"],
        ["+auxiliary={age: {scale: 100.0}, machine: {loss: ce, column: machine_id}}", "loss=bce_aucpr"],
        ["trainer.precision=bf16-mixed", "trainer.sync_bn=true", "trainer.clip=1.0", "trainer.accumulate=2"],
        ["trainer.swa.start=1", "model.freeze.epochs=1", "trainer.channels_last=true", "model.neck=bn"],
    ],
)
def test_what_a_config_can_switch_on_trains(views_overrides: list[str], tmp_path: Path, overrides: list[str]) -> None:
    config = compose(TrainConfig, "train", [*views_overrides, *overrides])
    metrics = train(config)
    oof = pd.read_parquet(tmp_path / "runs/trial/fold_0/oof.parquet")
    history = pd.read_csv(tmp_path / "runs/trial/fold_0/history.csv")
    assert len(oof) == oof["image_id"].nunique() == 15
    assert history["unit/mean_auc"].max() == pytest.approx(metrics["unit/mean_auc"], abs=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("without_plots")
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_trains_to_its_end(views_overrides: list[str], tmp_path: Path, experiment: str) -> None:
    overrides = [*views_overrides, f"experiment=breast/{experiment}", "roi=threshold", "trainer.batch_size=4"]
    metrics = train(compose(TrainConfig, "train", overrides))
    assert "unit/mean_auc" in metrics
    assert (tmp_path / f"runs/{experiment}/fold_0/weights.safetensors").is_file()


@pytest.mark.slow
def test_two_processes_train_like_one_with_twice_the_batch(tiny_overrides: list[str], tmp_path: Path) -> None:
    # no batch norm, no dropout; 24 images an epoch in 4 steps of 6: 20 steps in all
    common = ["model.backbone=test_vit", "trainer.epochs=5", "trainer.last_weights=true", "augmentation=light"]
    common += ["optimizer=sgd", "optimizer.lr=0.01", "trainer.threads=1"]
    weights = []
    for devices, batch in ((1, 6), (2, 3)):
        name = f"processes{devices}"
        own = [f"trainer.devices={devices}", f"trainer.batch_size={batch}", f"name={name}"]
        command = [sys.executable, "-m", "rsna.cli.app", "train", *tiny_overrides, *common, *own]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        checkpoint = torch.load(tmp_path / f"runs/{name}/fold_0/last.ckpt", weights_only=True)
        assert checkpoint["global_step"] == 20
        weights.append(checkpoint["state_dict"])
    one, two = weights
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=1e-5)
