"""Search of hyper-parameters: a study of trials that is kept, gone on with, and pruned."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from lightning.pytorch.callbacks import Callback
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState

from rsna.competitions import create_competition
from rsna.config.compose import compose
from rsna.config.training import TrainConfig
from rsna.errors import InputError, RsnaError, Unfinished
from rsna.io import digest, ensure_dir
from rsna.tables import write_csv
from rsna.training.callbacks import Recorder
from rsna.training.run import train
from rsna.training.split import list_folds

logger = logging.getLogger(__name__)

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
ALIVE = 30  # seconds between a trial's signs of life
WARM_UP = 5  # trials that are not pruned: the median of fewer says little


@dataclass(frozen=True)
class Axis:
    """One thing that is searched.

    Attributes:
        key: The override's key, such as `optimizer.lr`.
        choices: Its values as texts, for a choice.
        low: The smallest number, for an interval.
        high: The largest one.
        log: Whether factors count, not differences.
        whole: Whether it takes whole numbers.
    """

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    def suggest(self, trial: optuna.Trial) -> str:
        """The override of a trial."""
        if self.choices:
            return f"{self.key}={trial.suggest_categorical(self.key, self.choices)}"
        if self.whole:
            return f"{self.key}={trial.suggest_int(self.key, int(self.low), int(self.high), log=self.log)}"
        return f"{self.key}={trial.suggest_float(self.key, self.low, self.high, log=self.log)!r}"


@dataclass(frozen=True)
class Space:
    """What is searched and what stays.

    Attributes:
        axes: What is searched.
        fixed: The other overrides.
    """

    axes: tuple[Axis, ...]
    fixed: tuple[str, ...]


class Pruning(Callback):
    """Tells a trial the score of each epoch, and stops the training where it is behind the others' median.

    Attributes:
        pruned: Whether it was stopped.
    """

    def __init__(self, trial: optuna.Trial, offset: int) -> None:
        self.trial, self.offset, self.pruned, self._told = trial, offset, False, 0

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Report the epochs that the trial does not know yet, those of a taken-up training among them."""
        history = next(callback.history for callback in trainer.callbacks if isinstance(callback, Recorder))
        for epoch in range(self._told, len(history.rows)):
            self.trial.report(history.rows[epoch][history.monitor], self.offset + epoch)
        self._told = len(history.rows)
        if self.trial.should_prune():
            self.pruned = trainer.should_stop = True


def search(overrides: Sequence[str], trials: int) -> optuna.Study:
    """Run trials until a study has so many that are finished or pruned. The same call goes on with a study.

    The study lies in `<env.runs>/<name>,search/`: `study.db` (SQLite, for Optuna's own tools) and `trials.csv`. Each
    trial is a run of its own, called by the config's name and a digest of its values.

    Args:
        overrides: As of `rsna train --multirun`; what has several values or an interval is searched, as in
            ``optimizer.lr=tag(log,interval(1e-4,1e-2))`` and ``loss=bce,bce_soft``.
        trials: In the whole study.

    Raises:
        InputError: For a wrong override or config, several processes a trial, and a study of another space.
        Unfinished: Where the time was over first.
    """
    space = parse_space(overrides)
    first = compose(TrainConfig, "train", [*space.fixed, *(_smallest(axis) for axis in space.axes)])
    if first.trainer.processes > 1:
        raise InputError("search: a trial is trained by one process; set trainer.devices=1 and trainer.nodes=1")
    folder = ensure_dir(Path(first.env.runs) / f"{first.name},search")
    study = open_study(folder, space, first)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if len(study.get_trials(deepcopy=False, states=DONE)) < trials:
            stop = MaxTrialsCallback(trials, states=DONE)
            study.optimize(lambda trial: run_trial(trial, space), callbacks=[stop, lambda *_: _write(folder, study)])
    _write(folder, study)
    return study


def parse_space(overrides: Sequence[str]) -> Space:
    """Tell what is searched from what stays.

    Raises:
        InputError: For an override that Hydra does not understand, and where nothing is searched.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise InputError(f"search: {' '.join(str(error).split())}") from error
    axes = tuple(_axis(override) for override in parsed if override.is_sweep_override())
    if not axes:
        raise InputError(
            "search: nothing is searched; give a key several values (loss=bce,focal) or an interval"
            " (optimizer.lr=tag(log,interval(1e-4,1e-2)))"
        )
    fixed = tuple(str(override.input_line) for override in parsed if not override.is_sweep_override())
    return Space(axes, fixed)


def _axis(override: Override) -> Axis:
    key, sweep = override.key_or_group, override.value()
    if isinstance(sweep, ChoiceSweep):
        return Axis(key, tuple(override.sweep_string_iterator()))
    if isinstance(sweep, RangeSweep):
        return Axis(key, tuple(override.sweep_string_iterator()))
    if isinstance(sweep, IntervalSweep) and sweep.start is not None and sweep.end is not None:
        log, whole = "log" in sweep.tags, isinstance(sweep.start, int) and isinstance(sweep.end, int)
        if not sweep.start < sweep.end or (log and sweep.start <= 0):
            raise InputError(
                f"search: the interval of {key} must rise, and from a positive number where it is tagged log"
            )
        return Axis(key, (), float(sweep.start), float(sweep.end), log, whole)
    raise InputError(f"search: {override.input_line} cannot be searched; use choices, range or interval")


def _smallest(axis: Axis) -> str:
    if axis.choices:
        return f"{axis.key}={axis.choices[0]}"
    return f"{axis.key}={int(axis.low) if axis.whole else axis.low!r}"


def open_study(folder: Path, space: Space, config: TrainConfig) -> optuna.Study:
    """The study of a folder, made where there is none.

    Raises:
        InputError: Where it searches something else.
    """
    competition = create_competition(config.competition.name)
    identity = digest({"space": repr(space.axes), "fixed": [o for o in space.fixed if not _elsewhere(o)]})
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{folder.absolute() / 'study.db'}",
            heartbeat_interval=ALIVE,
            failed_trial_callback=optuna.storages.RetryFailedTrialCallback(),  # of a killed process
        )
        study = optuna.create_study(
            study_name=config.name,
            storage=storage,
            load_if_exists=True,
            direction="maximize" if competition.monitor_mode == "max" else "minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=WARM_UP),
        )
    known = len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=config.seed + known)  # one that is gone on with draws new values
    if study.user_attrs.setdefault("identity", identity) != identity:
        raise InputError(f"search: {folder} holds a study of another space; give this one its own name=")
    study.set_user_attr("identity", identity)
    return study


def _elsewhere(override: str) -> bool:
    return override.lstrip("+").startswith(("env", "tracking"))


def run_trial(trial: optuna.Trial, space: Space) -> float:
    """Train one trial and return its monitored metric, the mean over its folds.

    Raises:
        TrialPruned: Where it fell behind or diverged.
        InputError: For a wrong config.
        Unfinished: Where the time was over.
    """
    chosen = [axis.suggest(trial) for axis in space.axes]
    config = compose(TrainConfig, "train", [*space.fixed, *chosen])
    config = replace(config, name=f"{config.name},trial={digest(chosen)[:10]}")
    trial.set_user_attr("run", config.name)
    folds = list_folds(config) if config.fold == "all" else [config.fold]
    monitor = create_competition(config.competition.name).monitor
    scores = [_train_fold(trial, replace(config, fold=fold), index)[monitor] for index, fold in enumerate(folds)]
    logger.info("trial %d: %s %.4f with %s", trial.number, monitor, sum(scores) / len(scores), " ".join(chosen))
    return math.fsum(scores) / len(scores)


def _train_fold(trial: optuna.Trial, config: TrainConfig, index: int) -> dict[str, float]:
    pruning = Pruning(trial, index * config.trainer.epochs)
    try:
        metrics = train(config, callbacks=[pruning])
    except (InputError, Unfinished):
        raise
    except RsnaError as error:  # it diverged
        logger.warning("trial %d: %s", trial.number, error)
        raise optuna.TrialPruned(str(error)) from error
    if pruning.pruned:
        logger.info("trial %d is pruned", trial.number)
        raise optuna.TrialPruned
    return metrics


def _write(folder: Path, study: optuna.Study) -> None:
    columns: Any = ("number", "value", "params", "user_attrs", "state")
    write_csv(folder / "trials.csv", study.trials_dataframe(attrs=columns))
