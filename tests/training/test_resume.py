"""A killed training, started again, ends bit by bit where it would have ended."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from rsna.config.training import TrainConfig
from rsna.models import create_model
from rsna.training import train
from rsna.training.module import TrainingModule

EVERYTHING = (
    *("augmentation=light", "sampler=balanced", "sampler.positives_per_batch=1", "model.dropout=0.3"),
    *("trainer.ema.decay=0.9", "trainer.last_weights=true", "trainer.clip=1.0", "trainer.accumulate=2"),
)
SCHEDULES = {
    "cosine": ("scheduler=cosine", "scheduler.name=cosine", "scheduler.unit=step", "scheduler.warmup=3"),
    "plateau": ("scheduler=plateau", "scheduler.name=plateau", "scheduler.patience=1", "scheduler.gamma=0.5"),
}


class Killed(Exception):
    """Stands in for a kill."""


def kill_at(monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int) -> None:
    """Let the training die in the given batch of the given epoch."""
    step = TrainingModule.training_step

    def dying(module: TrainingModule, data: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        if (module.current_epoch, index) == (epoch, batch):
            raise Killed
        return step(module, data, index)

    monkeypatch.setattr(TrainingModule, "training_step", dying)


@pytest.mark.usefixtures("without_plots")
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_resumed_training_equals_an_uninterrupted_one(
    make_config: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    overrides = (*EVERYTHING, *SCHEDULES[schedule], "trainer.epochs=4")
    whole = train(make_config(*overrides, f"env.runs={tmp_path / 'whole'}"))
    broken = make_config(*overrides, f"env.runs={tmp_path / 'broken'}")
    for epoch, batch in ((0, 2), (2, 3), (3, 0)):
        with monkeypatch.context() as patch:
            kill_at(patch, epoch, batch)
            with pytest.raises(Killed):
                train(broken)
    assert train(broken) == whole
    left, right = (tmp_path / name / "trial/fold_0" for name in ("whole", "broken"))
    for name in ("weights.safetensors", "weights_last.safetensors", "history.csv", "metrics.json"):
        assert (left / name).read_bytes() == (right / name).read_bytes(), name
    pd.testing.assert_frame_equal(*(pd.read_parquet(path / "oof.parquet") for path in (left, right)), check_exact=True)
    states = [torch.load(path / "last.ckpt", weights_only=True) for path in (left, right)]
    assert any(name.startswith("ema.") for name in states[0]["state_dict"])
    torch.testing.assert_close(states[1]["state_dict"], states[0]["state_dict"], rtol=0, atol=0)
    moments = [state["optimizer_states"][0]["state"] for state in states]
    torch.testing.assert_close(moments[1], moments[0], rtol=0, atol=0)


@pytest.mark.usefixtures("without_plots")
def test_the_number_of_loading_processes_changes_nothing(
    make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    overrides = ("augmentation=medium", "sampler.oversample=2", "trainer.threads=1")
    for workers in (0, 2):
        train(make_config(*overrides, f"env.workers={workers}", f"env.runs={tmp_path / str(workers)}"))
    left, right = (tmp_path / str(workers) / "trial/fold_0" for workers in (0, 2))
    assert (left / "weights.safetensors").read_bytes() == (right / "weights.safetensors").read_bytes()
    assert (left / "history.csv").read_bytes() == (right / "history.csv").read_bytes()


@pytest.mark.usefixtures("without_plots")
def test_a_resumed_training_goes_on_in_its_wandb_run(
    make_config: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb", reason="pip install wandb")
    for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / "wandb"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "wandb").mkdir()
    config = make_config("tracking=wandb", f"tracking.uri=file:{tmp_path / 'mlruns'}", "trainer.epochs=2")
    with monkeypatch.context() as patch:
        kill_at(patch, 1, 1)
        with pytest.raises(Killed):
            train(config)
    train(config)
    wandb.teardown()  # waits until everything is written
    identity = json.loads((tmp_path / "runs/trial/fold_0/mlflow_run.json").read_text())
    first, second = sorted((tmp_path / "wandb").rglob("*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    assert first.name == second.name == f"run-{identity['run_id']}.wandb"
    assert b"oof/unit/mean_auc" not in first.read_bytes()
    assert b"oof/unit/mean_auc" in second.read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("without_plots")
def test_a_translated_backbone_resumes_and_its_weights_are_those_of_a_plain_one(
    make_config: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translate, asked = torch.nn.Module.compile, []

    def translate_quickly(module: torch.nn.Module) -> None:
        asked.append(type(module).__name__)
        translate(module, backend="aot_eager")  # forward and backward are traced; the device's own compiler is slow

    monkeypatch.setattr(torch.nn.Module, "compile", translate_quickly)
    overrides = ("trainer.compile=true", "trainer.epochs=2", "trainer.ema.decay=0.9", "trainer.threads=1")
    whole = train(make_config(*overrides, f"env.runs={tmp_path / 'whole'}"))
    broken = make_config(*overrides, f"env.runs={tmp_path / 'broken'}")
    with monkeypatch.context() as patch:
        kill_at(patch, 1, 2)
        with pytest.raises(Killed):
            train(broken)
    assert train(broken) == whole
    assert asked == ["ResNet"] * 3
    left, right = (tmp_path / name / "trial/fold_0/weights.safetensors" for name in ("whole", "broken"))
    assert left.read_bytes() == right.read_bytes()
    plain = create_model(broken.model, broken.data.input, 1, pretrained=False)
    assert set(load_file(left)) == set(plain.state_dict())
    state = torch.load(tmp_path / "broken/trial/fold_0/last.ckpt", weights_only=True)["state_dict"]
    assert set(state) == {f"{part}.{name}" for part in ("model", "ema.module") for name in plain.state_dict()} | {
        name for name in state if name.startswith("loss.")
    }


@pytest.mark.slow
def test_a_command_that_is_killed_at_random_moments_ends_as_if_it_had_not_been(
    make_config: Callable[..., TrainConfig], tiny_overrides: list[str], tmp_path: Path
) -> None:
    asked = [*tiny_overrides, *EVERYTHING, "trainer.epochs=30", "trainer.threads=1"]
    command = [sys.executable, "-m", "rsna.cli.app", "train", *asked]
    moments = random.Random(0)
    kills = 0
    while kills < 3:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert process.stderr is not None
        epochs, wanted = 0, moments.randint(1, 8)
        for line in process.stderr:  # dies in the midst of whatever follows the epoch's last word
            epochs += "INFO epoch" in line
            if epochs == wanted:
                break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
        assert not (tmp_path / "runs/trial/fold_0/metrics.json").exists()
    subprocess.run(command, check=True, capture_output=True)
    train(make_config(*asked[len(tiny_overrides) :], f"env.runs={tmp_path / 'whole'}"))
    for name in ("weights.safetensors", "history.csv", "metrics.json"):
        paths = (tmp_path / runs / "trial/fold_0" / name for runs in ("runs", "whole"))
        assert len({path.read_bytes() for path in paths}) == 1, name
