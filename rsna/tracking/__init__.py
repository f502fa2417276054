"""What was run, by which code, with what result: MLflow runs and the logbook."""

from rsna.tracking.mlflow_run import RUN_FILE, read_identity
from rsna.tracking.provenance import Provenance, code_provenance
from rsna.tracking.tracker import Tracker

__all__ = ["RUN_FILE", "Provenance", "Tracker", "code_provenance", "read_identity"]
