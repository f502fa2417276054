"""Many trainings by Hydra's own machinery: sweepers choose the jobs, launchers run them here or on a cluster."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rsna.competitions import create_competition
from rsna.config import config_dir, load
from rsna.config.training import TrainConfig
from rsna.errors import InputError, RsnaError
from rsna.log import setup_logging
from rsna.training.run import train

OWN_FOLDER = ("name", "fold")  # what the run folder's path says already


def train_many(overrides: Sequence[str]) -> None:
    """Train every combination of the swept overrides, such as ``optimizer.lr=1e-3,1e-4 fold=0,1``.

    A run is called by the config's name and what is swept: `demo,optimizer.lr=0.001`.

    Raises:
        InputError: For an override that Hydra does not understand, and jobs that would share a run folder.
        RsnaError: What the first failing job raised, after the others have run.
    """
    try:
        swept = swept_keys(overrides)

        def job(composed: DictConfig) -> float:
            return _train_one(composed, swept)

        with _command_line(["rsna train", "--multirun", *overrides]):
            hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(f"multirun: {' '.join(str(error).split())}") from error


def swept_keys(overrides: Sequence[str]) -> list[str]:
    """The keys that take several values.

    Raises:
        InputError: Where none does, or two jobs would write to the same run folder.
    """
    swept: dict[str, list[str]] = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if override.is_sweep_override():
            swept[override.key_or_group] = list(override.sweep_string_iterator())
    if not swept:
        raise InputError("multirun: nothing is swept; give a key several values, as in seed=0,1")
    for key, values in swept.items():
        if len(set(values)) < len(values) or (key == "fold" and "all" in values):
            raise InputError(f"multirun: two jobs of {key}={','.join(values)} would write to the same run folder")
    return list(swept)


@contextmanager
def _command_line(arguments: list[str]) -> Iterator[None]:
    """Give Hydra its command line, and get its errors instead of an exit."""
    own, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR", "")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = arguments, "1"
    try:
        yield
    finally:
        sys.argv, os.environ["HYDRA_FULL_ERROR"] = own, full


def _train_one(composed: DictConfig, swept: Sequence[str]) -> float:
    """Train one job; the monitored metric is what a sweeper optimises."""
    if not logging.getLogger("rsna").handlers:  # a launcher's own process
        setup_logging()
    config = load(TrainConfig, OmegaConf.to_container(composed, resolve=True, throw_on_missing=True), "train")
    values = dict(entry.lstrip("+").split("=", 1) for entry in HydraConfig.get().overrides.task)
    parts = [f"{key}={values[key]}".replace("/", "-") for key in swept if key not in OWN_FOLDER]
    config = replace(config, name=",".join([config.name, *parts]))
    if config.trainer.processes > 1:
        _train_as_command([*HydraConfig.get().overrides.task, f"name='{config.name}'"])
    metrics = train(config)  # which of a finished run are what it says
    return metrics[create_competition(config.competition.name).monitor]


def _train_as_command(overrides: Sequence[str]) -> None:
    """Train in a command of its own: Lightning starts further processes by repeating this one's command line.

    Raises:
        RsnaError: Where it fails, which it has explained itself.
    """
    done = subprocess.run([sys.executable, "-P", "-m", "rsna.cli.app", "train", *overrides], check=False)
    if done.returncode:
        raise RsnaError(f"rsna train {shlex.join(overrides)} ended with status {done.returncode}")
