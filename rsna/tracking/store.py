"""The MLflow store: which one, opened how, with its experiments and the place of its artifacts."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock

from rsna.errors import InputError
from rsna.io import ensure_dir, file_name

logger = logging.getLogger(__name__)

DATABASE = "mlflow.db"  # what plain `mlflow ui` opens in the current folder
STATE = Path(".rsna")
ARTIFACTS = STATE / "mlartifacts"  # not ./mlruns, beside which plain `mlflow ui` may take the wrong store
LOCK_SECONDS = 120  # making the tables takes two


def store_uri(uri: str = "") -> str:
    """The tracking URI that is meant: the given one, `MLFLOW_TRACKING_URI`, or `mlflow.db` in the current folder."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI", "") or f"sqlite:///{DATABASE}"


def open_client(uri: str) -> Any:
    """MLflow's client for a store, which makes the tables of a new SQLite file.

    The import takes a second or more, hence only here. The client is used directly: no global store, no stack of active
    runs, no chatter, no telemetry.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # runs on medical data report to nobody
    if uri.startswith("file:") or "://" not in uri:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow >= 3.13 refuses its file store otherwise
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    _warn_of_file_store(uri)
    return MlflowClient(uri)


def experiment_id(client: Any, name: str, uri: str) -> str:
    """The id of the experiment `name`, made where it does not exist.

    Raises:
        InputError: It was deleted in MLflow.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, _artifact_location(uri, name)))
        except MlflowException:  # another fold made it in this moment
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise InputError(f"the MLflow experiment {name} was deleted; restore it, or choose another tracking.experiment")
    return str(found.experiment_id)


def opening(uri: str) -> AbstractContextManager[object]:
    """A lock for a SQLite file: two folds that start together must not both make its tables, which MLflow lets them."""
    folder = _folder(uri)
    if folder is None:
        return nullcontext()
    return FileLock(ensure_dir(folder / STATE) / "mlflow.lock", timeout=LOCK_SECONDS)


def store_errors() -> tuple[type[Exception], ...]:
    """What MLflow raises when its store, or the way to it, fails."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError


def first_line(error: Exception) -> str:
    """An error's message without the SQL, links and traces that follow."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _artifact_location(uri: str, experiment: str) -> str | None:
    """Where artifacts lie: beside a SQLite file, or, for any other store, in a place of its own."""
    folder = _folder(uri)
    return (folder / ARTIFACTS / file_name(experiment)).as_uri() if folder else None


def _folder(uri: str) -> Path | None:
    """The folder of a SQLite file, None for any other store."""
    return Path(uri.removeprefix("sqlite:///")).absolute().parent if uri.startswith("sqlite:///") else None


def _warn_of_file_store(uri: str) -> None:
    if uri == f"sqlite:///{DATABASE}" and any(Path("mlruns").glob("[0-9]*/meta.yaml")):
        logger.warning("./mlruns holds an MLflow file store: plain `mlflow ui` will open that, not mlflow.db; move it")
