"""From weights that somebody else trained to a model bundle: each becomes a finished run, and `collect` does the rest.

The out-of-fold predictions are made here, by our own prediction, from the prepared pictures of the fold that the
weights are said not to have seen. Nobody can check that they have not.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.inference import Bundle
from rsna.models import create_model, save_weights
from rsna.models.foreign import read_foreign, rename_tensors
from rsna.models.weights import misfits
from rsna.tables import write_parquet
from rsna.training.folder import run_folder
from rsna.training.report import Report
from rsna.training.split import load_split
from rsna.workflows.collect import collect

logger = logging.getLogger(__name__)

SHOWN = 20  # lines of a report that fills the screen otherwise


def import_bundle(
    files: Sequence[Path],
    folds: Sequence[int],
    config: TrainConfig,
    out: Path,
    renames: Sequence[tuple[str, str]] = (),
    accept_skew: bool = False,
    overwrite: bool = False,
) -> Bundle:
    """Make a bundle of foreign weights.

    Args:
        files: Weights, `.pth` or `.safetensors`.
        folds: The fold that each of them has not seen.
        config: How its input is made and which network it is; how it was trained is not ours to know.
        out: The bundle's folder.
        renames: Pairs of prefixes of tensor names, see `rename_tensors`.
        accept_skew: As of `collect`.
        overwrite: Replace another bundle in `out`.

    Raises:
        InputError: For a file that is none, tensors that do not fit exactly (all are logged), a run folder that is
            taken, and everything that `collect` refuses.
    """
    if len(files) != len(folds) or len(set(folds)) < len(folds):
        raise InputError(f"{len(files)} files of weights need as many different folds, not {list(folds)}")
    runs = [
        _import_run(file, replace(config, fold=fold), fold, renames) for file, fold in zip(files, folds, strict=True)
    ]
    return collect(runs, out, tta=("none",), accept_skew=accept_skew, overwrite=overwrite)


def _import_run(file: Path, config: TrainConfig, fold: int, renames: Sequence[tuple[str, str]]) -> Path:
    """Make the finished run folder of one file of weights."""
    folder = run_folder(config, fold)
    if folder.finished:
        raise InputError(f"{folder.path} holds a finished run; give this one its own name (--set name=...)")
    report = Report(config, load_split(config, fold))
    model = create_model(config.model, config.data.input, len(report.split.targets), pretrained=False)
    tensors = rename_tensors(read_foreign(file), model, renames)
    if lines := misfits(model, tensors):
        for line in lines[:SHOWN]:
            logger.error("%s", line)
        raise InputError(f"{file} does not fit {config.model.backbone}: {lines[0]} ({len(lines)} tensors in all)")
    model.load_state_dict(tensors, strict=True)
    logger.info("%s fits: %d tensors", file, len(tensors))
    folder.claim(config, fold)
    save_weights(model, folder.weights)
    predictions = report.out_of_fold(model, 0)
    write_parquet(folder.oof, predictions)
    folder.write_metrics(report.metrics(predictions), 0, report.split.competition.monitor)
    return folder.path
