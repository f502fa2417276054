"""Finished training runs, and whether they belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pandas as pd

from rsna.config import differences, dump, load
from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.inference import Member
from rsna.io import read_json, read_yaml
from rsna.tables import read_parquet
from rsna.training.folder import ELSEWHERE, RunFolder


@dataclass(frozen=True)
class FinishedRun:
    """One trained fold.

    Attributes:
        folder: Where it lies.
        config: Its configuration.
        fold: The validation fold.
        epoch: Whose weights were kept, from 0.
        score: Their monitored metric, None where undefined.
        oof: Their out-of-fold predictions.
        selected: Their file, where it is not that of the best epoch.
    """

    folder: RunFolder
    config: TrainConfig
    fold: int
    epoch: int
    score: float | None
    oof: pd.DataFrame
    selected: Path | None = None

    @property
    def weights(self) -> Path:
        """The weights that made the out-of-fold predictions."""
        return self.selected or self.folder.weights

    @classmethod
    def read(cls, path: Path) -> FinishedRun:
        """Read a run folder, or raise `InputError` where it is not finished or not whole."""
        folder = RunFolder(path)
        files = (folder.config, folder.weights, folder.oof, folder.metrics)
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise InputError(f"the run {path} is not finished: it lacks {', '.join(missing)}; run `rsna train` again")
        config = load(TrainConfig, read_yaml(folder.config), str(folder.config))
        result, oof = read_json(folder.metrics), read_parquet(folder.oof)
        if config.fold == "all" or set(oof["row_fold"]) != {config.fold}:
            raise InputError(f"{folder.oof} does not hold the predictions of fold {config.fold} alone; train it again")
        return cls(folder, config, config.fold, result["epoch"], result["score"], oof)

    @property
    def member(self) -> Member:
        """As a member of a bundle, whose checksum is still to be filled in."""
        return Member(f"fold_{self.fold}.safetensors", "", self.fold, self.epoch, self.score)


def read_runs(paths: Sequence[Path]) -> list[FinishedRun]:
    """The finished runs of some folders, by fold.

    Args:
        paths: Of single folds, `runs/<name>/fold_<k>`, or of all folds of a name, `runs/<name>`.

    Raises:
        InputError: For a folder without a run, a run that is not finished, and a fold that is there twice.
    """
    folders = [folder for path in paths for folder in _run_folders(path)]
    runs = sorted((FinishedRun.read(folder) for folder in folders), key=lambda run: run.fold)
    for left, right in pairwise(runs):
        if left.fold == right.fold:
            raise InputError(f"fold {left.fold} is there twice: {left.folder.path} and {right.folder.path}; name one")
    return runs


def _run_folders(path: Path) -> list[Path]:
    if (path / "config.yaml").is_file():
        return [path]
    folders = sorted(folder.parent for folder in path.glob("fold_*/config.yaml"))
    if not folders:
        raise InputError(f"{path} holds no training run; give runs/<name> or runs/<name>/fold_<k>")
    return folders


def common_config(runs: Sequence[FinishedRun]) -> TrainConfig:
    """The one configuration of all runs, with the fold `all`.

    Raises:
        InputError: Where two runs differ in more than the fold and where things are; lists the keys.
    """
    configs = [replace(run.config, fold="all") for run in runs]
    for run, config in zip(runs, configs, strict=True):
        found = differences(dump(configs[0]), dump(config))
        other = [line for line in found if not line.startswith(ELSEWHERE)]
        if other:
            raise InputError(
                f"{runs[0].folder.path} and {run.folder.path} have different configurations ({'; '.join(other)});"
                " a bundle holds the folds of one"
            )
    return configs[0]
