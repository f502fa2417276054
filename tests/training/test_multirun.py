"""Sweeps through Hydra: what the runs are called, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from rsna.config import config_dir
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
@pytest.mark.parametrize(
    ("launcher", "options"), [("joblib", ["n_jobs=2"]), ("submitit_local", ["cpus_per_task=1", "timeout_min=5"])]
)
def test_a_launcher_runs_jobs_side_by_side(
    tiny_overrides: list[str], tmp_path: Path, launcher: str, options: list[str]
) -> None:
    plugin = launcher.partition("_")[0]
    pytest.importorskip(f"hydra_plugins.hydra_{plugin}_launcher", reason=f"pip install hydra-{plugin}-launcher")
    chosen = [f"hydra/launcher={launcher}", *(f"hydra.launcher.{option}" for option in options)]
    train_many([*tiny_overrides, *chosen, "trainer.epochs=1", "seed=0,1", "fold=1"])
    finished = {path.relative_to(tmp_path / "runs").parts[0] for path in tmp_path.rglob("metrics.json")}
    assert finished == {"trial,seed=0", "trial,seed=1"}
    assert not list(tmp_path.glob("multirun"))  # what the launcher writes lies in the runs folder too


def test_the_launcher_of_a_cluster_composes() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install hydra-submitit-launcher")
    options = ["partition=gpu", "gpus_per_node=2", "tasks_per_node=2", "mem_gb=64", "max_num_timeout=3"]
    asked = ["hydra/launcher=submitit_slurm", *(f"hydra.launcher.{option}" for option in options)]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        composed = hydra_compose("train", ["trainer=ddp", *asked], return_hydra_config=True)
    launcher = composed.hydra.launcher
    assert launcher._target_.endswith("SlurmLauncher")
    assert launcher.tasks_per_node == composed.trainer.devices == 2
    assert str(launcher.submitit_folder).startswith("runs/.hydra/")


@pytest.mark.slow
def test_the_jobs_of_a_sweep_may_take_several_processes_each(tiny_overrides: list[str], tmp_path: Path) -> None:
    overrides = ["trainer.epochs=1", "trainer.devices=2", "trainer.batch_size=3", "trainer.threads=1"]
    train_many([*tiny_overrides, *overrides, "seed=0,1", "model.backbone=test_vit"])
    finished = {str(path.relative_to(tmp_path / "runs").parent) for path in tmp_path.rglob("metrics.json")}
    assert finished == {f"trial,seed={seed}/fold_0" for seed in (0, 1)}
