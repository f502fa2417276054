"""A killed training, started again, ends bit by bit where it would have ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from rsna.config.training import TrainConfig
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
