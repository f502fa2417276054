"""One run in an MLflow store, new or continued."""

from __future__ import annotations

import getpass
import json
import logging
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rsna.config.tracking import TrackingSpec
from rsna.errors import RsnaError
from rsna.io import read_json
from rsna.tracking.store import experiment_id, first_line, open_client, opening, store_errors, store_uri

logger = logging.getLogger(__name__)

RUN_FILE = "mlflow_run.json"
MAX_PARAM_CHARS = 500  # MLflow would take 6000, but its pages become unreadable; the whole config is an artifact
PARAMS_PER_CALL = 100  # MLflow's own limit


class MlflowRun:
    """A run that is being written. Every method may raise one of `store_errors()`."""

    def __init__(self, client: Any, run_id: str, resumed: bool) -> None:
        self.run_id = run_id
        self.resumed = resumed
        self._client = client
        self._steps: dict[str, set[int]] = {}  # metric -> steps that the store has

    def log_params(self, config: Mapping[str, Any]) -> None:
        """Log a nested mapping as dotted parameters. A parameter that the run has stays: MLflow never changes one."""
        from mlflow.entities import Param

        known = self._client.get_run(self.run_id).data.params if self.resumed else {}
        params = [Param(key, shorten(text)) for key, text in flatten(config) if key not in known]
        for start in range(0, len(params), PARAMS_PER_CALL):
            self._client.log_batch(self.run_id, params=params[start : start + PARAMS_PER_CALL])

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the finite values at a step; a step that a metric already has is left as it is."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)  # milliseconds
        new = [Metric(k, float(v), now, step) for k, v in metrics.items() if math.isfinite(v) and self._is_new(k, step)]
        if new:
            self._client.log_batch(self.run_id, metrics=new)
        for metric in new:
            self._steps[metric.key].add(step)

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Copy a file, or a folder with all that is in it, into the run."""
        log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        log(self.run_id, str(path), folder or None)

    def log_text(self, text: str, name: str) -> None:
        """Store text as the artifact `name`, a path inside the run."""
        self._client.log_text(self.run_id, text, name)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags, over what they were."""
        from mlflow.entities import RunTag

        self._client.log_batch(self.run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])

    def end(self, status: str) -> None:
        """Close the run as `FINISHED`, `FAILED` or `KILLED`."""
        self._client.set_terminated(self.run_id, status)

    def _is_new(self, key: str, step: int) -> bool:
        if key not in self._steps:
            history = self._client.get_metric_history(self.run_id, key) if self.resumed else []
            self._steps[key] = {metric.step for metric in history}
        return step not in self._steps[key]


def open_run(spec: TrackingSpec, name: str, run_dir: Path) -> MlflowRun:
    """Continue the run that the run folder names, or start one.

    Raises:
        InputError: The experiment was deleted in MLflow.
        RsnaError: The store cannot be reached or written.
    """
    uri = store_uri(spec.uri)
    try:
        with opening(uri):
            client = open_client(uri)
            run_id = _continue(client, run_dir)
            if run_id:
                return MlflowRun(client, run_id, resumed=True)
            experiment = experiment_id(client, spec.experiment, uri)
        run = client.create_run(experiment, run_name=name, tags=_source_tags())
    except store_errors() as error:
        raise RsnaError(
            f"cannot record in MLflow: {first_line(error)}; check tracking.uri, or use tracking=none"
        ) from error
    return MlflowRun(client, run.info.run_id, resumed=False)


def read_identity(run_dir: Path) -> dict[str, str]:
    """What `mlflow_run.json` of a run folder says: `run_id`, `experiment`, `commit`; empty where it was not tracked."""
    path = run_dir / RUN_FILE
    content = read_json(path) if path.is_file() else {}
    return {str(key): str(value) for key, value in content.items()} if isinstance(content, dict) else {}


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a nested mapping as (dotted key, text); lists become JSON."""
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{name}.")
        else:
            yield name, json.dumps(value, default=str) if isinstance(value, list | tuple | Mapping) else str(value)


def shorten(text: str, limit: int = MAX_PARAM_CHARS) -> str:
    """The text, cut in its middle where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


def _continue(client: Any, run_dir: Path) -> str:
    """The id of the run folder's run, running again; empty where there is none, or it was deleted."""
    from mlflow.exceptions import MlflowException

    run_id = read_identity(run_dir).get("run_id", "")
    if not run_id:
        return ""
    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        found = None
    if found is None or found.info.lifecycle_stage != "active":
        logger.info("the MLflow run %s of %s is gone; a new one is started", run_id, run_dir)
        return ""
    client.update_run(run_id, status="RUNNING")
    return run_id


def _source_tags() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        user = "unknown"
    return {"mlflow.user": user, "mlflow.source.name": "rsna train", "mlflow.source.type": "LOCAL"}
