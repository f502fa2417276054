"""Whole trainings on the tiny set: what is in the run folder, and what it is worth."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from rsna.config import load
from rsna.config.compose import compose
from rsna.config.training import TrainConfig
from rsna.data import PreparedSet, read_pictures
from rsna.errors import InputError, RsnaError
from rsna.inference import Predictor
from rsna.io import read_yaml
from rsna.models import create_model, load_weights
from rsna.training import train
from rsna.training.module import TrainingModule

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def finished(
    overrides_into: Callable[[Path], list[str]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainConfig, dict[str, float], Path]:
    """A finished training with averaged weights: its config, what it returned, its folder."""
    runs = tmp_path_factory.mktemp("finished")
    asked = ["trainer.ema.decay=0.9", "trainer.tables=true", "trainer.last_weights=true", "trainer.epochs=3"]
    config = compose(TrainConfig, "train", [*overrides_into(runs), *asked])
    return config, train(config), runs / "trial/fold_0"


def test_weights_metrics_and_out_of_fold_file_belong_together(
    finished: tuple[TrainConfig, dict[str, float], Path],
) -> None:
    config, metrics, folder = finished
    oof = pd.read_parquet(folder / "oof.parquet")
    units = oof.groupby("prediction_id")[["target_cancer", "pred_cancer"]].mean()
    auc, precision = (
        score(units["target_cancer"], units["pred_cancer"]) for score in (roc_auc_score, average_precision_score)
    )
    assert metrics["unit/mean_auc"] == pytest.approx((auc + precision) / 2)

    prepared = PreparedSet.open(config.env.prepared)
    table = prepared.table[prepared.table["fold"] == 0]
    assert oof["image_id"].tolist() == table["image_id"].tolist()
    assert set(oof["row_fold"]) == set(oof["model_fold"]) == {0}
    model = create_model(config.model, config.data.input, 1, pretrained=False)
    load_weights(model, folder / "weights.safetensors")
    predictor = Predictor([model], config.data.input, "cpu", config.trainer.batch_size)
    again = predictor.predict(read_pictures(prepared, table))[:, 0, 0]
    np.testing.assert_array_equal(oof["pred_cancer"].to_numpy(), again)

    written = json.loads((folder / "metrics.json").read_text())
    history = pd.read_csv(folder / "history.csv")
    assert written["metrics"] == metrics
    assert written["epoch"] == history["unit/mean_auc"].argmax()
    assert history["unit/mean_auc"].max() == pytest.approx(written["score"], abs=1e-6)


def test_the_kept_weights_are_the_average_of_the_best_epoch(
    finished: tuple[TrainConfig, dict[str, float], Path],
) -> None:
    _, _, folder = finished
    state = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    best = int(pd.read_csv(folder / "history.csv")["unit/mean_auc"].argmax())
    kept, last = (_read(folder / name) for name in ("weights.safetensors", "weights_last.safetensors"))
    for name, tensor in last.items():
        torch.testing.assert_close(tensor, state[f"ema.module.{name}"], rtol=0, atol=0)
    assert any((state[f"model.{name}"] != tensor).any() for name, tensor in last.items())
    same = all((kept[name] == tensor).all() for name, tensor in last.items())
    assert same == (best == 2)


def test_the_run_folder_holds_what_it_should_and_nothing_else(
    finished: tuple[TrainConfig, dict[str, float], Path],
) -> None:
    config, _, folder = finished
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    tables = {f"epochs/{epoch:03d}_{kind}.parquet" for epoch in range(3) for kind in ("images", "units")}
    plots = {name for name in files if name.startswith("plots/")}
    assert {"plots/loss.png", "plots/roc.png", "plots/hardest_cases.png"} <= plots
    assert files - plots - tables == {
        *("config.yaml", "history.csv", "last.ckpt", "metrics.json", "oof.parquet"),
        *("weights.safetensors", "weights_last.safetensors", "trained_on.parquet"),
    }
    assert tables <= files
    assert load(TrainConfig, read_yaml(folder / "config.yaml")) == config
    images = pd.read_parquet(folder / "epochs/001_images.parquet")
    units = pd.read_parquet(folder / "epochs/001_units.parquet")
    assert len(images) == len(units) == 12


def test_a_finished_run_is_left_alone(
    finished: tuple[TrainConfig, dict[str, float], Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config, metrics, folder = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    monkeypatch.setattr("rsna.training.run.fit", None)
    with caplog.at_level("INFO", "rsna"):
        assert train(config) == metrics
    assert "is finished" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_folder_of_another_config_is_refused(finished: tuple[TrainConfig, dict[str, float], Path]) -> None:
    config, metrics, _ = finished
    other = replace(config, seed=1, optimizer=replace(config.optimizer, lr=0.5))
    with pytest.raises(InputError, match=r"seed: 0 != 1.*|optimizer\.lr: .* != 0\.5") as caught:
        train(other)
    assert "name=" in str(caught.value)
    elsewhere = replace(config, env=replace(config.env, workers=2), tracking=replace(config.tracking, experiment="x"))
    assert train(elsewhere) == metrics


@pytest.mark.usefixtures("without_plots")
def test_all_folds_come_one_after_the_other(make_config: MakeConfig, tmp_path: Path) -> None:
    single = train(make_config("fold=1", "trainer.epochs=1"))
    means = train(make_config("fold=all", "trainer.epochs=1"))
    folds = [json.loads((tmp_path / f"runs/trial/fold_{k}/metrics.json").read_text()) for k in range(3)]
    assert folds[1]["metrics"] == single  # it was not trained again
    assert means["unit/auc"] == pytest.approx(np.mean([fold["metrics"]["unit/auc"] for fold in folds]))


@pytest.mark.usefixtures("without_plots")
def test_training_stops_when_nothing_gets_better(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.3, 0.6, 0.5, 0.6, 0.9, 0.7])
    monkeypatch.setattr("rsna.training.report.Report.metrics", lambda *_: {"unit/mean_auc": next(scores)})
    train(make_config("trainer.epochs=9", "trainer.patience=2"))
    history = pd.read_csv(tmp_path / "runs/trial/fold_0/history.csv")
    assert history["unit/mean_auc"].tolist() == [0.3, 0.6, 0.5, 0.6]
    assert json.loads((tmp_path / "runs/trial/fold_0/metrics.json").read_text())["epoch"] == 1


def test_a_training_that_diverges_says_so(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    step = TrainingModule.training_step
    monkeypatch.setattr(TrainingModule, "training_step", lambda *arguments: step(*arguments) * math.nan)
    with pytest.raises(RsnaError, match="diverged in epoch 0"):
        train(make_config())


def test_the_effective_batch_is_held(make_config: MakeConfig) -> None:
    small, large = (make_config("trainer.effective_batch=24", f"trainer.batch_size={size}") for size in (4, 12))
    assert small.trainer.accumulation == 6
    assert large.trainer.accumulation == 2
    for override in ("trainer.batch_size=16", "trainer.accumulate=2"):
        with pytest.raises(InputError, match="effective_batch"):
            make_config("trainer.effective_batch=24", override)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_one_line(make_config: MakeConfig) -> None:
    with pytest.raises(InputError, match=r"^trainer\.accelerator=gpu, trainer\.devices=1: .*`rsna doctor`$") as caught:
        train(make_config("trainer.accelerator=gpu"))
    assert "\n" not in str(caught.value)


def test_several_processes_out_of_a_notebook_are_refused(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.ps1", "In [1]: ", raising=False)
    with pytest.raises(InputError, match="run `rsna train` as a command"):
        train(make_config("trainer.devices=2"))
    assert not (tmp_path / "runs").exists()


def test_an_unwritable_runs_folder_is_one_line(make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="folder"):
        train(make_config(f"env.runs={tmp_path / 'file'}"))


def _read(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)
