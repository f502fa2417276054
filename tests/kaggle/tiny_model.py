"""A competition with a hidden test, and bundles of random weights that keep the law on its training images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rsna.competitions import Threshold, create_competition
from rsna.config import CompetitionSpec, DataSpec, EnvSpec, ImagingSpec, InputSpec, ModelSpec
from rsna.config.training import SchedulerSpec, TrainConfig
from rsna.inference import Bundle, BundleSpec, Member, PredictOptions, predict_oof, prediction_table, write_bundle
from rsna.models import create_model, save_weights
from rsna.synthetic import BreastOptions, make_breast

CONFIG = TrainConfig(
    name="tiny",
    competition=CompetitionSpec(),
    env=EnvSpec(data="data", prepared="prepared"),
    scheduler=SchedulerSpec("constant", "epoch"),
    data=DataSpec(ImagingSpec(height=64, width=32), InputSpec(height=48, width=32)),
    model=ModelSpec(backbone="test_resnet", pretrained=False),
    fold="all",
)
MEMBERS = tuple(Member(f"fold_{fold}.safetensors", "", fold, 3, 0.8) for fold in (0, 1))
OPTIONS = PredictOptions(workers=1, batch_size=4, device="cpu")


def make_competition(folder: Path) -> Path:
    """Six patients to train on, one visible, four hidden."""
    make_breast(folder, BreastOptions(6, 4, scale=0.03, seed=1, positive_rate=0.4))
    return folder


def make_bundle(folder: Path, data: Path, seed: int = 0, runs: tuple[str, ...] = ()) -> Bundle:
    """A bundle whose out-of-fold predictions are what its random members say of the training images."""
    competition = create_competition("breast")
    table = competition.train_table(data)
    table["fold"] = table["group_id"].rank(method="dense").astype(int) % 2
    parts = [(table[table["fold"] == member.fold], member) for member in MEMBERS]
    guess = [prediction_table(p, np.full((len(p), 1, 1), 0.5, np.float32), [m], ["cancer"]) for p, m in parts]
    weights = []
    for member in MEMBERS:
        torch.manual_seed(10 * seed + member.fold)
        weights.append(folder.parent / f"{folder.name}-{member.file}")
        save_weights(create_model(CONFIG.model, CONFIG.data.input, 1), weights[-1])
    spec = BundleSpec(
        competition="breast",
        aggregation="mean",
        threshold=Threshold(0.5, 0.4, 0.6, 0.7),
        members=MEMBERS,
        tta=("none",),
        priors=competition.priors(table),
        mlflow_run_ids=runs,
        commit="0123456789abcdef",
    )
    oof = pd.concat(guess, ignore_index=True)
    first = write_bundle(folder, spec, CONFIG, oof, weights)
    return write_bundle(folder, spec, CONFIG, predict_oof(first, data, options=OPTIONS), weights, overwrite=True)
