"""Starting from what another run has learnt: what is taken, and that it has seen none of this fold's patients."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
from torch import nn

from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.models.weights import misfits, read_weights
from rsna.tables import read_parquet, write_parquet
from rsna.training.folder import RunFolder
from rsna.training.split import Split

logger = logging.getLogger(__name__)


def load_initial(model: nn.Module, config: TrainConfig, split: Split) -> None:
    """Fill a model with the weights of the run that `model.init_from` names, and say what was taken.

    Raises:
        InputError: Where there is no such finished run, it saw a patient of this validation side, or a tensor that is
            to be taken does not fit.
    """
    source = find_source(config, split.fold)
    check_unseen(source, split.validation)
    logger.info("%s", take_weights(model, source.weights, config.model.init_parts))


def find_source(config: TrainConfig, fold: int) -> RunFolder:
    """The run folder that `model.init_from` names: itself, or a run's folder or name, of which the same fold is taken.

    Raises:
        InputError: Where it is not there or not finished.
    """
    named = Path(config.model.init_from or "")
    places = [named, named / f"fold_{fold}", Path(config.env.runs) / named / f"fold_{fold}"]
    for folder in map(RunFolder, places):
        if folder.weights.is_file():
            if folder.finished:
                return folder
            raise InputError(f"model.init_from: {folder.path} is not finished; the same command that began it goes on")
    raise InputError(
        f"model.init_from: {named} is no run folder and {config.env.runs} has no run of that name with fold_{fold};"
        " give runs/NAME/fold_K, or the NAME of a finished run"
    )


def check_unseen(source: RunFolder, validation: pd.DataFrame) -> None:
    """Check that a run saw no patient of a validation side, neither by itself nor by what it started from.

    Raises:
        InputError: Where it did, or an old run does not tell.
    """
    if source.trained_on.is_file():
        seen = set(read_parquet(source.trained_on)["group_id"]) & set(validation["group_id"])
        if seen:
            raise InputError(
                f"model.init_from: {source.path} was trained on {len(seen)} patients of this validation fold, such as"
                f" {min(seen)!r}, so its score would be worth nothing; start from the same fold of that run"
            )
        return
    held_out = set(read_parquet(source.oof)["image_id"])
    unknown = set(validation["image_id"]) - held_out
    if unknown:
        raise InputError(
            f"model.init_from: {source.path} may have been trained on {len(unknown)} images of this validation fold,"
            f" such as {min(unknown)!r}: it did not hold them out; start from the same fold of that run"
        )


def take_weights(model: nn.Module, file: Path, parts: str) -> str:
    """Fill a model, or its backbone alone, from a file, and return what was taken and what was not, in one line.

    Raises:
        InputError: Where a tensor of the parts is missing, superfluous or of another shape.
    """
    tensors = read_weights(file)
    wanted = model if parts == "all" else model.get_submodule(parts)
    prefix = "" if parts == "all" else f"{parts}."
    taken = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if wrong := misfits(wanted, taken):
        advice = "" if parts == "backbone" else "; model.init_parts=backbone leaves out what follows the backbone"
        found = f"{prefix}{wrong[0]} ({len(wrong)} tensors in all)"
        raise InputError(f"model.init_from: {file} does not fit: {found}{advice}")
    wanted.load_state_dict(taken, strict=True)
    left = sorted(name for name in tensors if not name.startswith(prefix))
    anew = sorted(name for name in model.state_dict() if not name.startswith(prefix))
    numbers = sum(tensor.numel() for tensor in taken.values())
    return (
        f"{file}: {len(taken)} tensors ({numbers:,} numbers) taken"
        f"; left there: {', '.join(left) or 'none'}; starting anew: {', '.join(anew) or 'none'}"
    )


def write_trained_on(folder: RunFolder, config: TrainConfig, split: Split) -> None:
    """Write down the patients that a run learns from, with those of the run that it starts from."""
    groups = set(split.train["group_id"])
    if config.model.init_from:
        source = find_source(config, split.fold)
        if source.trained_on.is_file():
            groups |= set(read_parquet(source.trained_on)["group_id"])
    write_parquet(folder.trained_on, pd.DataFrame({"group_id": sorted(groups)}))
