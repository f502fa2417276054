"""What is written down of a score: in the MLflow runs that made the bundle, and in the logbook."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rsna.inference.schema import BundleSpec, read_spec
from rsna.kaggle.submissions import Submission
from rsna.tracking.entries import submission_entry
from rsna.tracking.logbook import log_entry
from rsna.tracking.store import first_line, open_client, store_errors, store_uri

logger = logging.getLogger(__name__)

SQLITE = "sqlite:///"


def record_scores(submission: Submission, bundle: Path, file: Path, origin: str, log: Path, message: str) -> None:
    """Write the scores of a submission to its bundle's MLflow runs and to the logbook; again, it changes nothing.

    Args:
        submission: With its scores.
        bundle: The folder of the bundle that predicted it.
        file: The submitted file.
        origin: By what it was made, in words.
        log: The logbook.
        message: What a person has to say.

    Raises:
        RsnaError: Where the logbook cannot be written. Runs that are not here are only warned of.
    """
    spec = read_spec(bundle)
    for run in filter(None, spec.mlflow_run_ids):
        if not tag_run(run, submission, spec):
            logger.warning("the MLflow run %s of %s is not here, so it does not get the score", run, bundle)
    entry = submission_entry(file, submission.scores, bundle, log)
    line = f"- submission {submission.ref}: {origin}"
    log_entry(log, replace(entry, key=f"submission/{submission.ref}", lines=(line, *entry.lines)), message)


def tag_run(run: str, submission: Submission, spec: BundleSpec) -> bool:
    """Give an MLflow run of this machine's store the scores, as metrics to sort by; whether it is there."""
    uri = store_uri()
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_file():
        return False  # asking for the run would make an empty store
    tags: Mapping[str, object] = {"kaggle.submission": submission.ref, "kaggle.bundle": spec.digest}
    try:
        client = open_client(uri)
        known = client.get_run(run).data.metrics
        for name, value in submission.scores.items():
            if known.get(f"kaggle/{name}") != value:
                client.log_metric(run, f"kaggle/{name}", value)
        for tag, text in tags.items():
            client.set_tag(run, tag, str(text))
    except store_errors() as error:
        logger.debug("the MLflow run %s: %s", run, first_line(error))
        return False
    return True
