"""A run in Weights & Biases beside the one in MLflow, under the same id. Whatever fails there is said once."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rsna.errors import InputError
from rsna.io import ensure_dir
from rsna.tracking.mlflow_run import shorten
from rsna.tracking.store import STATE, first_line

logger = logging.getLogger(__name__)

MAX_TAG_CHARS = 64  # W&B's own limit
EPOCH = "epoch"  # the axis of every metric: W&B's own step only ever rises, and a resumed epoch or the best one may not
EXIT_CODES = {"FINISHED": 0, "FAILED": 1, "KILLED": 255}
# MLflow has the code, the machine and the packages; the command line and the environment may hold secrets. The waits,
# in seconds, are how long a network that is gone may hold up a training.
SETTINGS = {
    **{"console": "off", "save_code": False, "disable_code": True, "disable_git": True},
    **{"x_disable_meta": True, "x_save_requirements": False, "reinit": "create_new"},
    **{"init_timeout": 30, "finish_timeout": 300},
}


class WandbRun:
    """A W&B run that is being written. No method raises: the first failure costs a warning, the others nothing."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self._warned = False

    def log_params(self, config: Mapping[str, Any]) -> None:
        """Send a nested configuration, over what the run had."""
        self._send("the configuration", lambda run: run.config.update(dict(config), allow_val_change=True))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Send the finite values at a step (the epoch)."""
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        if finite:
            self._send("metrics", lambda run: run.log({EPOCH: step, **finite}))

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Send a file, or a folder with all that is in it, as an artifact of the type `folder`."""
        self._send(f"the artifact {path}", lambda run: run.log_artifact(_artifact(run.id, path, folder or "files")))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags as `key=value`, over those of the same key."""
        new = [shorten(f"{key}={value}", MAX_TAG_CHARS) for key, value in tags.items()]

        def write(run: Any) -> None:
            run.tags = (*(tag for tag in run.tags or () if tag.partition("=")[0] not in tags), *new)

        self._send("tags", write)

    def end(self, status: str) -> None:
        """Close the run with MLflow's word for how it ended."""
        self._send("the end of the run", lambda run: run.finish(exit_code=EXIT_CODES[status]))

    def _send(self, what: str, write: Callable[[Any], object]) -> None:
        try:
            write(self._run)
        except Exception as error:  # of whatever kind: MLflow has the record, and a training must not end for its copy
            level = logging.DEBUG if self._warned else logging.WARNING
            logger.log(
                level, "W&B did not take %s (%s); what else it does not take is not said", what, first_line(error)
            )
            self._warned = True


def open_wandb(run_id: str, project: str, name: str) -> WandbRun | None:
    """Continue or start the W&B run of an MLflow run. None, with a warning, where W&B cannot be had.

    Args:
        run_id: MLflow's, which is W&B's too: a training that goes on continues both.
        project: The W&B project.
        name: The run's name, such as `baseline/fold_0`; what is before its `/` groups the folds.
    """
    wandb = import_wandb()
    folder = os.environ.get("WANDB_DIR") or ensure_dir(STATE)
    try:
        run = wandb.init(
            project=project,
            name=name,
            group=name.rpartition("/")[0] or None,
            id=run_id,
            resume="allow",
            dir=str(folder),
            settings=wandb.Settings(**SETTINGS),
        )
        run.define_metric("*", step_metric=EPOCH)
    except Exception as error:  # as in `WandbRun._send`
        logger.warning(
            "W&B records nothing of %s (%s); `wandb login` first, or set WANDB_MODE=offline", name, first_line(error)
        )
        return None
    return WandbRun(run)


def import_wandb() -> Any:
    """The package, which takes a second to import.

    Raises:
        InputError: It is not installed.
    """
    os.environ.setdefault("WANDB_SILENT", "true")  # or it asks a terminal for a key and waits until somebody answers
    try:
        import wandb
    except ImportError as error:
        raise InputError(
            f"tracking.wandb needs a package that is not installed ({error}): `pip install -e .[wandb]`"
        ) from error
    return wandb


def _artifact(run_id: str, path: Path, kind: str) -> Any:
    artifact = import_wandb().Artifact(f"{run_id}-{kind}", type=kind)
    files = [file for file in sorted(path.rglob("*")) if file.is_file()] if path.is_dir() else [path]
    for file in files:  # one by one: W&B chatters about whole folders
        artifact.add_file(str(file), name=file.relative_to(path if path.is_dir() else path.parent).as_posix())
    return artifact
