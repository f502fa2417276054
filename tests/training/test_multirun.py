"""Sweeps through Hydra: what the runs are called, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsna.errors import InputError
from rsna.training.multirun import swept_keys, train_many


@pytest.mark.usefixtures("without_plots")
def test_every_combination_gets_its_own_run_folder(tiny_overrides: list[str], tmp_path: Path) -> None:
    train_many([*tiny_overrides, "experiment=breast/demo", "trainer.epochs=1", "optimizer.lr=1e-3,1e-4", "fold=2"])
    finished = {str(path.relative_to(tmp_path / "runs").parent) for path in tmp_path.rglob("metrics.json")}
    names = ("demo,optimizer.lr=0.001", "demo,optimizer.lr=0.0001")
    assert finished == {f"{name}/fold_2" for name in names}


def test_the_error_of_a_job_comes_out(tiny_overrides: list[str]) -> None:
    with pytest.raises(InputError, match="fold 7"):
        train_many([*tiny_overrides, "trainer.epochs=1", "fold=7,8"])


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        (["seed=0,1", "model=resnet18"], ["seed"]),
        (["optimizer.lr=1e-3,1e-4", "fold=range(0,4)"], ["optimizer.lr", "fold"]),
        (["experiment=breast/baseline,breast/demo", "name=a"], ["experiment"]),
    ],
)
def test_the_swept_keys_are_found(overrides: list[str], keys: list[str]) -> None:
    assert swept_keys(overrides) == keys


@pytest.mark.parametrize("overrides", [["seed=1,1"], ["fold=all,0"], ["name=a,a", "seed=0,1"]])
def test_jobs_that_would_share_a_folder_are_refused(overrides: list[str]) -> None:
    with pytest.raises(InputError, match="same run folder"):
        swept_keys(overrides)


def test_a_multirun_without_a_sweep_is_refused() -> None:
    with pytest.raises(InputError, match="nothing is swept"):
        swept_keys(["seed=1"])


@pytest.mark.parametrize(
    ("override", "message"), [("seed=[0", "multirun"), ("no_such_key=1,2", "no_such_key"), ("model=none,nil", "none")]
)
def test_what_hydra_refuses_is_an_input_error(tiny_overrides: list[str], override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        train_many([*tiny_overrides, override])


@pytest.mark.slow
def test_a_launcher_runs_jobs_side_by_side(tiny_overrides: list[str], tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="pip install hydra-joblib-launcher")
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    train_many([*tiny_overrides, *launcher, "trainer.epochs=1", "seed=0,1"])
    finished = {path.relative_to(tmp_path / "runs").parts[0] for path in tmp_path.rglob("metrics.json")}
    assert finished == {"trial,seed=0", "trial,seed=1"}
