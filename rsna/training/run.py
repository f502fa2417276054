"""`train`: from a config to a finished run folder, taking up what a killed run left."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from rsna.competitions.base import Target
from rsna.config import dump
from rsna.config.training import LossSpec, TrainConfig
from rsna.errors import InputError
from rsna.models import create_loss, create_model, load_weights
from rsna.tables import write_parquet
from rsna.tracking import Tracker
from rsna.training.auxiliary import create_heads
from rsna.training.deadline import Deadline
from rsna.training.fit import fit
from rsna.training.folder import RunFolder, run_folder
from rsna.training.history import History
from rsna.training.initial import load_initial, write_trained_on
from rsna.training.module import TrainingModule
from rsna.training.optimizer import create_optimizer
from rsna.training.report import Report
from rsna.training.seeds import cpu_threads, seed_everything
from rsna.training.split import Split, list_folds, load_split

logger = logging.getLogger(__name__)


def train(config: TrainConfig, until: float | None = None, callbacks: Sequence[Callback] = ()) -> dict[str, float]:
    """Train one fold, or all of them one after the other. A killed run goes on; a finished one is left alone.

    Args:
        config: What to train.
        until: When to stop at the latest, as of `time.time()`, in a state to go on from.
        callbacks: Who else shall see the epochs, or stop the training.

    Returns:
        The metrics of the out-of-fold predictions by name; for all folds, their means.

    Raises:
        Unfinished: Where the time was over first; the run folder is marked as incomplete.
        InputError: For a wrong config, split or data set, a run folder of another config, and several processes where
            none can be started.
        RsnaError: Where pretrained weights cannot be fetched, or the training diverges.
    """
    if config.trainer.processes > 1 and hasattr(sys, "ps1"):
        raise InputError("trainer.devices: a notebook cannot start further processes; run `rsna train` as a command")
    deadline = Deadline(until) if until is not None else None
    folds = list_folds(config) if config.fold == "all" else [config.fold]
    with cpu_threads(config.trainer.threads):
        results = pd.DataFrame([train_fold(config, fold, deadline, callbacks) for fold in folds])
    return {str(name): float(value) for name, value in results.mean().items()}


def train_fold(
    config: TrainConfig, fold: int, deadline: Deadline | None = None, callbacks: Sequence[Callback] = ()
) -> dict[str, float]:
    """Train one fold to its end and return the metrics of its out-of-fold predictions."""
    folder = run_folder(config, fold)
    if folder.finished:
        logger.info("%s is finished; delete the folder to train it again", folder.path)
        return folder.read_metrics()
    if deadline:
        deadline.check(f"fold {fold}")
    report = Report(config, load_split(config, fold))
    module = build_module(config, report.split)
    folder.claim(config, fold)
    write_trained_on(folder, config, report.split)
    tracking = config.tracking if rank_zero_only.rank == 0 else replace(config.tracking, backend="none", wandb=False)
    with folder.marked(), Tracker(tracking, f"{config.name}/fold_{fold}", folder.path) as tracker:
        tracker.log_config(dump(replace(config, fold=fold)))
        history = fit(module, folder, report, tracker, deadline, callbacks)
        return finish(folder, history, report, tracker)


def build_module(config: TrainConfig, split: Split) -> TrainingModule:
    """The module of a fold with its initial weights.

    Raises:
        InputError: For a config that the model, the heads or the optimiser cannot take.
        RsnaError: Where pretrained weights cannot be fetched.
    """
    check_loss(config.loss, split.competition.targets)
    seed_everything(config.seed, split.fold)
    outputs, start = len(split.targets), False if config.model.init_from else None
    model = create_model(config.model, config.data.input, outputs, pretrained=start)
    if config.model.init_from:
        load_initial(model, config, split)
    model.prepare(config.model)
    loss, heads = create_loss(config.loss, outputs), create_heads(config, split.train, model.head.in_features)
    optimizer = create_optimizer(model, config.optimizer, loss, *([heads] if heads else []))
    return TrainingModule(model, loss, optimizer, config.trainer.ema, config.trainer.swa, heads)


def check_loss(loss: LossSpec, targets: Sequence[Target]) -> None:
    """Refuse a loss whose probabilities are not what the targets are.

    Raises:
        InputError: For `ce` of targets that are no classes, another loss of classes, and targets of any number.
    """
    kinds = {target.kind for target in targets}
    if "regression" in kinds:
        raise InputError(
            "targets of kind regression cannot be learnt: models predict probabilities; scale the values into [0, 1]"
            " and declare them as ordinal"
        )
    if (kinds == {"class"}) != (loss.name == "ce"):
        raise InputError(f"loss {loss.name} does not fit targets of kind {', '.join(sorted(kinds))}; ce is for class")


def finish(folder: RunFolder, history: History, report: Report, tracker: Tracker) -> dict[str, float]:
    """Make the out-of-fold predictions from the weights as they were written, then figures and metrics."""
    config, best = report.config, history.best
    model = create_model(config.model, config.data.input, len(report.split.targets), pretrained=False)
    load_weights(model, folder.weights)
    predictions = report.out_of_fold(model, best)
    write_parquet(folder.oof, predictions)
    report.write_plots(folder, history.rows, predictions)
    metrics = report.metrics(predictions)
    for path, place in ((folder.weights, "weights"), (folder.oof, "predictions"), (folder.path / "plots", "plots")):
        tracker.log_artifact(path, place)
    tracker.log_metrics({f"oof/{name}": value for name, value in metrics.items()}, best)
    folder.write_metrics(metrics, best, history.monitor)
    logger.info("%s: %s %.4f out of fold, epoch %d", folder.path, history.monitor, metrics[history.monitor], best)
    return metrics
