"""One call of Lightning's trainer, kept quiet and tidy."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from rsna.config.training import TrainConfig, TrainerSpec
from rsna.errors import InputError, Unfinished
from rsna.tracking import Tracker
from rsna.training.callbacks import EpochCheckpoint, LearningRates, Recorder, Seeds
from rsna.training.deadline import Deadline
from rsna.training.folder import RunFolder
from rsna.training.history import History
from rsna.training.loaders import FoldData
from rsna.training.module import TrainingModule
from rsna.training.report import Report
from rsna.training.schedule import create_schedule

logger = logging.getLogger(__name__)


def fit(
    module: TrainingModule,
    folder: RunFolder,
    report: Report,
    tracker: Tracker,
    deadline: Deadline | None = None,
    others: Sequence[Callback] = (),
) -> History:
    """Train a module from its beginning, or from the last epoch that is in the folder, to its end.

    Args:
        module: Is trained in place.
        folder: Receives weights, history and checkpoint after every epoch.
        report: Knows the config and the split.
        tracker: Is told the metrics of every epoch.
        deadline: When to be done.
        others: Further callbacks, after ours.

    Raises:
        Unfinished: Where the deadline came first.
        InputError: For a warm-up that is too long, balanced batches without a positive, or a device that is not there.
        RsnaError: Where the training diverges.
    """
    config, split = report.config, report.split
    data, history = FoldData(config, split), History(split.competition.monitor, split.competition.monitor_mode)
    schedule = create_schedule(config.scheduler, config.trainer.epochs, data.steps)
    callbacks = [
        Seeds(config.seed, split.fold),
        LearningRates(schedule, history),
        Recorder(config.trainer, folder, history, report, tracker),
        *([deadline] if deadline else []),
        *others,
        EpochCheckpoint(folder),
    ]
    resume = folder.checkpoint if folder.checkpoint.is_file() else None
    if resume:
        logger.info("going on after the last finished epoch of %s", folder.path)
    _arrange(module, config.trainer)
    with quiet():
        _run(create_trainer(config, folder.path, callbacks, max_epochs=config.trainer.epochs), module, data, resume)
    if deadline and deadline.reached:
        raise Unfinished(f"no time is left for an epoch after epoch {len(history.rows) - 1}")
    return history


def _arrange(module: TrainingModule, spec: TrainerSpec) -> None:
    """Lay out and translate the module for the device, as asked; neither changes what its weights are called."""
    if spec.channels_last:
        module.to(memory_format=torch.channels_last)
    if spec.compile:
        module.model.backbone.compile()


def create_trainer(config: TrainConfig, folder: Path, callbacks: list[Callback], **options: Any) -> pl.Trainer:
    """Lightning's trainer for a config, with further options of its own. It writes nothing by itself.

    Raises:
        InputError: For a device that is not there.
    """
    spec = config.trainer
    if spec.processes > 1 and config.model.freeze.epochs:  # what is frozen at first gets no gradient then
        options["strategy"] = "ddp_find_unused_parameters_true"
    try:
        return pl.Trainer(
            accelerator=spec.accelerator,
            devices=spec.devices,
            num_nodes=spec.nodes,
            sync_batchnorm=spec.sync_bn,
            precision=spec.precision,
            accumulate_grad_batches=spec.accumulation,
            gradient_clip_val=spec.clip or None,
            deterministic=config.deterministic,
            benchmark=not config.deterministic,
            callbacks=callbacks,
            default_root_dir=folder,
            logger=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stdout.isatty(),
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # the sampler deals out the batches itself
            **options,
        )
    except MisconfigurationException as error:
        asked = f"trainer.accelerator={spec.accelerator}, trainer.devices={spec.devices}"
        raise InputError(f"{asked}: {' '.join(str(error).split()).rstrip('.!')}; see `rsna doctor`") from error


def _run(trainer: pl.Trainer, module: TrainingModule, data: FoldData, resume: Path | None) -> None:
    try:
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # which Lightning turns into an exit
            raise KeyboardInterrupt from error
        raise


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what Lightning says about itself, and undo the global switches that it sets."""
    talkers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [talker.level for talker in talkers]
    deterministic, benchmark = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        for talker in talkers:
            talker.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for talker, level in zip(talkers, levels, strict=True):
                talker.setLevel(level)
            torch.use_deterministic_algorithms(deterministic)
            torch.backends.cudnn.benchmark = benchmark
