"""What training talks to: one recorded run, or a silent stand-in with the same methods."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from rsna.config.tracking import TrackingSpec
from rsna.errors import Unfinished
from rsna.io import write_json
from rsna.tracking.environment import describe_environment, freeze_packages
from rsna.tracking.mlflow_run import RUN_FILE, MlflowRun, open_run
from rsna.tracking.provenance import Provenance, code_provenance
from rsna.tracking.store import first_line, store_errors
from rsna.tracking.wandb_run import WandbRun, import_wandb, open_wandb

logger = logging.getLogger(__name__)


class Tracker:
    """A context manager around one run: started or continued on entry, closed with the right status on exit.

    The run's id is kept in `mlflow_run.json` of the run folder, so that a resumed training continues the same run.
    A store that cannot be opened ends the command; one that fails later costs a warning, never hours of training.
    Where W&B is asked for, it is told the same but for code and environment; what fails there costs one warning.

    Args:
        spec: Where to record; with the backend `none` every method does nothing.
        name: The run's name in MLflow, such as `baseline/fold_0`.
        run_dir: The run folder.
    """

    def __init__(self, spec: TrackingSpec, name: str, run_dir: Path) -> None:
        self.spec = spec
        self.name = name
        self.run_dir = Path(run_dir)
        self._run: MlflowRun | None = None
        self._wandb: WandbRun | None = None

    @property
    def run_id(self) -> str:
        """The MLflow run id, empty when nothing is recorded."""
        return self._run.run_id if self._run else ""

    def __enter__(self) -> Self:
        if self.spec.backend == "mlflow":
            if self.spec.wandb:
                import_wandb()  # before a run is made that would have to be without it
            code = code_provenance()
            self._run = open_run(self.spec, self.name, self.run_dir)
            identity = {"run_id": self.run_id, "experiment": self.spec.experiment, "commit": code.label}
            write_json(self.run_dir / RUN_FILE, identity)
            self._record("the code and the environment", lambda run: _log_origin(run, code))
            if self.spec.wandb:
                self._wandb = open_wandb(self.run_id, self.spec.experiment, self.name)
            if self._wandb:
                self._wandb.set_tags({"commit": code.commit, "dirty": str(code.dirty).lower()})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._share("the end of the run", lambda run: run.end(_status(kind)))

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Log a nested configuration: as dotted parameters, long ones shortened, and whole as `config.yaml`."""
        text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
        self._share("the parameters", lambda run: run.log_params(config))
        self._record("the configuration", lambda run: run.log_text(text, "config.yaml"))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics at a step (the epoch). NaN is left out, and so is a step that the metric already has."""
        self._share("metrics", lambda run: run.log_metrics(metrics, step))

    def log_artifact(self, path: str | Path, folder: str = "") -> None:
        """Copy a file or a folder of files into the run, under `folder`."""
        self._share(f"the artifact {path}", lambda run: run.log_artifact(Path(path), folder))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run, over what they were."""
        self._share("tags", lambda run: run.set_tags(tags))

    def _share(self, what: str, write: Callable[[MlflowRun | WandbRun], None]) -> None:
        self._record(what, write)
        if self._wandb is not None:
            write(self._wandb)

    def _record(self, what: str, write: Callable[[MlflowRun], None]) -> None:
        if self._run is None:
            return
        try:
            write(self._run)
        except store_errors() as error:
            logger.warning("MLflow did not take %s: %s", what, first_line(error))


def _log_origin(run: MlflowRun, code: Provenance) -> None:
    """The commit, the diff, the machine and the packages."""
    run.set_tags({"mlflow.source.git.commit": code.commit, "code.dirty": str(code.dirty).lower()})
    if code.diff:
        run.log_text(code.diff, f"code/{code.label}.diff")
    run.log_text(json.dumps(describe_environment(), indent=2), "environment/environment.json")
    run.log_text("\n".join(freeze_packages()) + "\n", "environment/packages.txt")


def _status(kind: type[BaseException] | None) -> str:
    """MLflow's word for how the run ended. An interrupt or an end of its own accord is somebody's wish, no failure."""
    if kind is None:
        return "FINISHED"
    return "KILLED" if issubclass(kind, KeyboardInterrupt | SystemExit | Unfinished) else "FAILED"
