"""The notebook `train` on Kaggle: trains on the mounted prepared set, and stops before Kaggle would stop it.

What it writes is enough to go on: the next run, with this one's output mounted, takes up `runs/` and `mlruns/`. Kaggle
keeps nothing of a run that it had to end.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from rsna.competitions import create_competition
from rsna.config.compose import compose
from rsna.config.training import TrainConfig
from rsna.data import PreparedSet
from rsna.data.prepared import SPEC_FILE
from rsna.errors import InputError, Unfinished
from rsna.io import read_json, write_json
from rsna.kernel.bootstrap import INPUT, WORKING, find_mounts
from rsna.log import setup_logging
from rsna.preparation.folds import make_folds
from rsna.tables import write_csv
from rsna.tracking.credentials import find_credentials
from rsna.tracking.mirror import Mirror
from rsna.training import train
from rsna.workflows.kernel_prepare import find_competition, set_places

logger = logging.getLogger(__name__)

SESSION_FILE = "train-session.json"  # says how it ended; also how the next run finds this one's output
KEPT = ("runs", "mlruns", "folds.csv")  # what the next run takes over
SESSION_HOURS = 12.0  # Kaggle's limit
MARGIN_S = 1800.0  # before it: for the end of the last epoch, the mirror and Kaggle's own saving
FOLDS, SEED = 4, 0  # where the prepared set brings no folds


def main(pushed: Mapping[str, Any], started: float, root: Path = INPUT, out: Path = WORKING) -> dict[str, float]:
    """Train what the notebook was pushed for, or go on with what its last run left.

    Args:
        pushed: The notebook's first line: `overrides` of `rsna train`, `folds`, `session_hours`, `settings`.
        started: When the session began, as of `time.time()`.
        root: Where data sets and earlier output are mounted.
        out: Where the output goes.

    Returns:
        The metrics; empty where the session was too short, which ends the notebook well and says so.

    Raises:
        InputError: Where no prepared set is mounted, or the overrides do not fit it.
        RsnaError: Where the training fails.
    """
    setup_logging()
    previous = take_up(root, out)
    overrides = list(pushed.get("overrides", ())) or previous
    write_session(out, "running", overrides)
    prepared = find_prepared(root)
    set_places(out, find_competition(root), prepared, make_own_folds(prepared, pushed.get("folds", FOLDS), out))
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # MLflow >= 3.13 refuses its file store otherwise
    os.environ["MLFLOW_TRACKING_URI"] = (out / "mlruns").as_uri()
    config = compose(TrainConfig, "train", ["env=kaggle", *overrides])
    deadline = session_end(pushed, started)
    try:
        with mirror(out / "mlruns", pushed.get("settings", {})):
            metrics = train(config, deadline)
    except Unfinished as stop:
        write_session(out, "incomplete", overrides)
        logger.warning("INCOMPLETE: %s", stop)
        return {}
    write_session(out, "finished", overrides)
    logger.info("finished: %s", ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    return metrics


def take_up(root: Path, out: Path) -> list[str]:
    """Copy what a mounted earlier run left, which is read-only there; returns its overrides, empty without one."""
    found = find_mounts(SESSION_FILE, root)
    if not found:
        return []
    previous = found[0]
    for name in KEPT:
        source, target = previous / name, out / name
        if source.is_dir():
            shutil.copytree(source, target, copy_function=shutil.copyfile, dirs_exist_ok=True)
        elif source.is_file():
            shutil.copyfile(source, target)
    session = read_json(previous / SESSION_FILE)
    logger.info("going on with %s, which ended as %s", previous, session["state"])
    return list(session["overrides"])


def write_session(out: Path, state: str, overrides: list[str]) -> None:
    """Say in the output how far this session is: running, incomplete or finished."""
    write_json(out / SESSION_FILE, {"state": state, "overrides": overrides})


def find_prepared(root: Path) -> Path:
    """The one mounted prepared set: a data set, or the output of the kernel `prepare`."""
    found = find_mounts(SPEC_FILE, root)
    if not found:
        raise InputError(f"no {SPEC_FILE} below {root}: attach the data set rsna-prepared, or the kernel rsna-prepare")
    if len(found) > 1:
        raise InputError(f"{len(found)} prepared sets are mounted ({', '.join(map(str, found))}); attach one")
    return found[0]


def make_own_folds(prepared: Path, count: int, out: Path) -> Path | None:
    """A table of folds where the prepared set brings none, the same in every session; None for its own."""
    pictures = PreparedSet.open(prepared)
    if "fold" in pictures.table:
        return None
    path = out / "folds.csv"
    if not path.is_file():
        write_csv(path, make_folds(create_competition(pictures.spec.competition), pictures.table, count, SEED))
        logger.info("%s brings no folds: made %d, as `rsna folds` makes them", prepared, count)
    return path


def session_end(pushed: Mapping[str, Any], started: float) -> float:
    """When to stop, as of `time.time()`: half an hour before Kaggle does, of a short session after three quarters."""
    seconds = pushed.get("session_hours", SESSION_HOURS) * 3600
    end = started + seconds - min(MARGIN_S, seconds / 4)
    logger.info("stopping by myself at %s UTC at the latest", time.strftime("%H:%M", time.gmtime(end)))
    return float(end)


def mirror(runs: Path, settings: Mapping[str, Any]) -> AbstractContextManager[object]:
    """What takes the runs to the bucket while they go on; nothing without a bucket or credentials for it."""
    bucket, emulator = settings.get("bucket", ""), settings.get("storage_emulator", "")
    if not bucket:
        return nullcontext()
    if emulator:
        os.environ["STORAGE_EMULATOR_HOST"] = emulator
    credentials = find_credentials()
    if credentials is None and not emulator:
        logger.warning("no credentials for gs://%s: the runs stay in this kernel's output", bucket)
        return nullcontext()
    return Mirror(runs, bucket, settings.get("prefix", ""), credentials)
