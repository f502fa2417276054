"""A training that stops itself in time goes on later as if it had never stopped."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from rsna.config.training import TrainConfig
from rsna.errors import Unfinished
from rsna.training import deadline, train

# The tiny set has 6 batches an epoch. The clock of the tests goes on by 10 s with every look: one before a fold, then
# one at an epoch's start, one after every batch, one at its end. So the first epoch goes from 10 to 80.
RESULTS = ("weights.safetensors", "weights_last.safetensors", "history.csv", "metrics.json")


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    times = itertools.count(0.0, 10.0)
    monkeypatch.setattr(deadline, "time", SimpleNamespace(time=lambda: next(times)))


@pytest.mark.parametrize(
    ("until", "epochs", "reason"),
    [(200.0, 2, "no time is left for an epoch after epoch 1"), (50.0, 0, "in the midst of epoch 0")],
)
def test_a_training_stops_in_time_and_goes_on_as_if_it_had_not(
    make_config: Callable[..., TrainConfig], tmp_path: Path, until: float, epochs: int, reason: str
) -> None:
    overrides = ("trainer.epochs=4", "trainer.ema.decay=0.9", "trainer.last_weights=true", "augmentation=light")
    whole = train(make_config(*overrides, f"env.runs={tmp_path / 'whole'}"))
    config = make_config(*overrides, f"env.runs={tmp_path / 'stopped'}")
    with pytest.raises(Unfinished, match=reason):
        train(config, until)
    folder = tmp_path / "stopped/trial/fold_0"
    assert reason in json.loads((folder / "incomplete.json").read_text())["reason"]
    assert not (folder / "metrics.json").exists()
    assert (folder / "last.ckpt").is_file() == bool(epochs)
    assert train(config) == whole
    assert not (folder / "incomplete.json").exists()
    for name in RESULTS:
        assert (folder / name).read_bytes() == (tmp_path / "whole/trial/fold_0" / name).read_bytes(), name


def test_no_fold_is_begun_that_has_no_time_for_an_epoch(
    make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    config = make_config("fold=all", "trainer.epochs=1")
    with pytest.raises(Unfinished, match="no time is left for fold 1"):
        train(config, 150.0)
    assert (tmp_path / "runs/trial/fold_0/metrics.json").is_file()
    assert not (tmp_path / "runs/trial/fold_1").exists()


def test_a_training_that_ends_in_time_is_finished(make_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    train(make_config("trainer.epochs=1"), 150.0)
    assert (tmp_path / "runs/trial/fold_0/metrics.json").is_file()
    assert not (tmp_path / "runs/trial/fold_0/incomplete.json").exists()
