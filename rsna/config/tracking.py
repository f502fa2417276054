"""Where a training run is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True)
class TrackingSpec:
    """The group `tracking`.

    Attributes:
        backend: `mlflow`, or `none` to record nothing outside the run folder.
        experiment: The MLflow experiment that lists the run.
        uri: An MLflow tracking URI, such as `http://host:5000` or `file:mlruns`. Empty for `MLFLOW_TRACKING_URI` and,
            where that is not set either, `mlflow.db` in the current folder, which plain `mlflow ui` opens.
        wandb: Send the run to Weights & Biases too, into the project `experiment`. Account, server and mode come from
            W&B's own variables, such as `WANDB_MODE=offline`.
    """

    backend: Literal["mlflow", "none"] = "mlflow"
    experiment: str = "rsna"
    uri: str = ""
    wandb: bool = False

    def __post_init__(self) -> None:
        if self.wandb and self.backend != "mlflow":
            raise ValueError("tracking.wandb goes beside MLflow; it needs tracking.backend=mlflow")
        if not self.experiment.strip():
            raise ValueError("tracking.experiment must not be empty")
        if "@" in urlsplit(self.uri).netloc:
            raise ValueError(
                "tracking.uri must hold no password, since configurations are logged; "
                "use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_URI"
            )
