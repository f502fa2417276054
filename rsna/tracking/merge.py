"""Pulled runs in `mlflow.db`, so that plain `mlflow ui` shows them beside the local ones, artifacts included.

MLflow's own ways in do not serve: its client gives a run a new id, and its migration of a file store wants an empty
database and keeps the paths of the machine that trained. So the rows are written here, through MLflow's table classes.
One transaction writes a run and, in a table of ours beside MLflow's, that it was pulled in this state. A run in our
table that MLflow no longer has was deleted here for good.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from rsna.errors import InputError, RsnaError
from rsna.io import digest
from rsna.log import progress
from rsna.tracking.file_store import Point, RunCopy, StoredRun, list_copies, read_run
from rsna.tracking.store import DATABASE, experiment_id, first_line, open_client, opening, store_errors

logger = logging.getLogger(__name__)

# deleted: here, or its experiment. left out: unreadable, or deleted where it was made
Outcome = Literal["added", "updated", "unchanged", "deleted", "left out"]

LOCKED_S = 60  # how long to wait for somebody else who is writing
CREATE = "CREATE TABLE IF NOT EXISTS rsna_pulled_runs (run_id VARCHAR(32) PRIMARY KEY, state VARCHAR(64) NOT NULL)"
RECORD = "INSERT OR REPLACE INTO rsna_pulled_runs VALUES (:run_id, :state)"
KNOWN = "SELECT run_uuid, state FROM runs LEFT JOIN rsna_pulled_runs ON run_id = run_uuid"
DELETED = """
SELECT run_uuid FROM runs WHERE lifecycle_stage = 'deleted'
UNION SELECT run_id FROM rsna_pulled_runs WHERE run_id NOT IN (SELECT run_uuid FROM runs)
"""


class RunDatabase:
    """`mlflow.db` of the current folder, made where it does not exist. Every method may raise `RsnaError`."""

    def __init__(self) -> None:
        self._uri = f"sqlite:///{Path(DATABASE).absolute()}"
        with _failures(), opening(self._uri):
            self._client = open_client(self._uri)
            from sqlalchemy import create_engine  # after the client: only MLflow brings it

            self._engine = create_engine(self._uri, connect_args={"timeout": LOCKED_S})
            self._rows(CREATE)

    def deleted_runs(self) -> set[str]:
        """The runs that were deleted here: marked as such, or gone although they were pulled."""
        with _failures():
            return {run_id for (run_id,) in self._rows(DELETED)}

    def merge(self, folder: Path) -> dict[str, Outcome]:
        """Write the runs of every file store below a folder into the database.

        Experiments of one name become one. Of several copies of a run, the one that got furthest counts. A run that was
        recorded here is never touched, and a tag that was set here is kept.

        Returns:
            What became of each run, by run id.
        """
        copies: dict[str, list[RunCopy]] = defaultdict(list)
        for copy in list_copies(folder):
            copies[copy.run_id].append(copy)
        with _failures():
            known = dict(map(tuple, self._rows(KNOWN)))
        deleted = self.deleted_runs()
        outcomes: dict[str, Outcome] = {}
        for run_id, found in progress(copies.items(), f"merging runs into {DATABASE}", len(copies)):
            if run_id in deleted:
                outcomes[run_id] = "deleted"
                continue
            state = digest([copy.state() for copy in found])
            ours = run_id in known and known[run_id] is None
            if ours or known.get(run_id) == state:
                outcomes[run_id] = "unchanged"
            else:
                with _failures():
                    outcomes[run_id] = self._merge_run(found, state, new=run_id not in known)
        return outcomes

    def _merge_run(self, copies: Sequence[RunCopy], state: str, new: bool) -> Outcome:
        run = _furthest(copies)
        if run is None:
            return "left out"
        experiment = ""
        if new:
            try:
                experiment = experiment_id(self._client, run.copy.experiment, self._uri)
            except InputError:
                logger.info("the experiment %s was deleted here; its runs are not shown", run.copy.experiment)
                return "deleted"
        self._write(run, experiment, state)
        return "added" if new else "updated"

    def _write(self, run: StoredRun, experiment: str, state: str) -> None:
        """Replace what the database says about a run, in one transaction."""
        from mlflow.store.tracking.dbmodels import models
        from sqlalchemy import insert, text
        from sqlalchemy.orm import Session

        run_id = run.copy.run_id
        with Session(self._engine) as session, session.begin():
            row = session.get(models.SqlRun, run_id) or _new_row(run_id, experiment)
            row.name, row.user_id, row.status = run.name, run.user, run.status
            row.start_time, row.end_time = run.start_time, run.end_time
            row.artifact_uri = run.copy.artifacts.absolute().as_uri()
            session.add(row)
            session.flush()
            tables = {
                models.SqlParam: [{"key": key, "value": value} for key, value in run.params.items()],
                models.SqlMetric: _point_rows(run.points),
                models.SqlLatestMetric: _point_rows(_latest(run.points)),
            }
            for table, rows in tables.items():
                session.query(table).filter_by(run_uuid=run_id).delete()
                if rows:
                    session.execute(insert(table), [{**values, "run_uuid": run_id} for values in rows])
            for key, value in run.tags.items():
                session.merge(models.SqlTag(run_uuid=run_id, key=key, value=value))
            session.execute(text(RECORD), {"run_id": run_id, "state": state})

    def _rows(self, statement: str) -> list[Any]:
        from sqlalchemy import text

        with self._engine.begin() as connection:
            result = connection.execute(text(statement))
            return list(result) if result.returns_rows else []


def _furthest(copies: Sequence[RunCopy]) -> StoredRun | None:
    """The copy that was heard of last; a training that goes on, or was resumed elsewhere, is in several places."""
    runs = []
    for copy in copies:
        try:
            runs.append(read_run(copy))
        except InputError as error:
            logger.warning("%s; this run is left out", error)
    return max(filter(None, runs), key=lambda run: run.last_sign, default=None)


def _new_row(run_id: str, experiment: str) -> Any:
    from mlflow.store.tracking.dbmodels.models import SqlRun

    blank = {"source_name": "", "entry_point_name": "", "source_version": ""}
    return SqlRun(
        run_uuid=run_id, experiment_id=int(experiment), source_type="LOCAL", lifecycle_stage="active", **blank
    )


def _latest(points: Sequence[Point]) -> list[Point]:
    """The last point of each metric, as MLflow orders them."""
    last: dict[str, Point] = {}
    for point in sorted(points, key=lambda point: (point.step, point.timestamp, _storable(point.value))):
        last[point.key] = point
    return list(last.values())


def _point_rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Rows of MLflow's tables of metrics, each once, as those demand."""
    columns = ("key", "timestamp", "step", "value", "is_nan")
    rows = dict.fromkeys((p.key, p.timestamp, p.step, _storable(p.value), math.isnan(p.value)) for p in points)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _storable(value: float) -> float:
    """A value as MLflow stores it: 0 beside a mark for NaN, the largest number for infinity."""
    return 0.0 if math.isnan(value) else max(-sys.float_info.max, min(value, sys.float_info.max))


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Turn what MLflow and SQLAlchemy raise into one line."""
    try:
        yield
    except store_errors() as error:
        raise RsnaError(f"cannot write {DATABASE}: {first_line(error)}") from error
