"""The search: its space, that it is kept and gone on with, and pruning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rsna.errors import InputError, RsnaError

optuna = pytest.importorskip("optuna")

from rsna.training.search import Axis, parse_space, search  # noqa: E402


def test_the_space_is_in_hydras_words() -> None:
    space = parse_space(
        ["seed=1", "loss=bce,focal", "optimizer.lr=tag(log,interval(1e-4,1e-2))", "trainer.epochs=int(interval(1,3))"]
    )
    assert space.fixed == ("seed=1",)
    assert space.axes == (
        Axis("loss", ("bce", "focal")),
        Axis("optimizer.lr", (), 1e-4, 1e-2, log=True),
        Axis("trainer.epochs", (), 1, 3, whole=True),
    )
    assert parse_space(["trainer.batch_size=range(4,13,4)"]).axes[0].choices == ("4", "8", "12")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed=1"], "nothing is searched"),
        (["optimizer.lr=interval(1.0,0.1)"], "must rise"),
        (["optimizer.lr=tag(log,interval(0.0,0.1))"], "positive"),
        (["optimizer.lr=glob(*)"], "cannot be searched"),
        (["seed=[1"], "search"),
    ],
)
def test_a_wrong_space_is_an_input_error(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_space(overrides)


def test_a_trial_of_several_processes_is_refused(tiny_overrides: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trainer\.devices=1"):
        search([*tiny_overrides, "trainer.devices=2", "seed=0,1"], 2)
    assert not (tmp_path / "runs").exists()


def test_a_study_is_kept_and_gone_on_with(
    tiny_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[float] = []

    def fake_train(config: Any, **_: Any) -> dict[str, float]:
        trained.append(config.optimizer.lr)
        if config.optimizer.lr > 5e-3:
            raise RsnaError("training diverged")
        return {"unit/mean_auc": -abs(config.optimizer.lr - 1e-3)}

    monkeypatch.setattr("rsna.training.search.train", fake_train)
    overrides = [*tiny_overrides, "name=s", "optimizer.lr=tag(log,interval(1e-4,1e-2))"]
    assert len(search(overrides, 4).trials) == len(trained) == 4
    study = search(overrides, 12)
    assert len(study.trials) == len(trained) == len(set(trained)) == 12
    assert study.best_value == max(-abs(lr - 1e-3) for lr in trained if lr <= 5e-3)
    pruned = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.PRUNED]
    assert len(pruned) == sum(lr > 5e-3 for lr in trained)
    assert len(pd.read_csv(tmp_path / "runs/s,search/trials.csv")) == 12
    with pytest.raises(InputError, match="another space"):
        search([*tiny_overrides, "name=s", "optimizer.lr=1e-3,1e-4"], 13)


@pytest.mark.usefixtures("without_plots")
def test_trials_train_and_those_behind_are_pruned(
    tiny_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda trial: trial.number == 1)
    study = search([*tiny_overrides, "name=s", "optimizer.lr=1e-3,1e-2", "trainer.epochs=2"], 2)
    whole, cut = study.trials
    assert list(whole.intermediate_values) == [0, 1]
    assert list(cut.intermediate_values) == [0]
    assert cut.state == optuna.trial.TrialState.PRUNED
    written = pd.read_csv(tmp_path / f"runs/{whole.user_attrs['run']}/fold_0/history.csv")
    assert whole.value == pytest.approx(written["unit/mean_auc"].max(), abs=1e-5)
