"""Reading runs out of an MLflow file store, whoever wrote it: nothing in it is believed, and no path in it is followed.

MLflow's own reader wants the store at the path where it was made, and no longer opens one without being told to.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsna.errors import InputError
from rsna.io import read_text, read_yaml
from rsna.tracking.run_files import META, METRICS, find_stores, list_files, read_stamp

logger = logging.getLogger(__name__)

RUN_ID = re.compile(r"[0-9a-f]{32}")
STATUSES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}  # mlflow.entities.RunStatus
ARTIFACTS = "artifacts"
MAX_VALUE_CHARS = 8000  # of a parameter or tag, what MLflow's tables hold
MAX_NAME_CHARS = 250
MAX_INTEGER = 2**63 - 1  # what SQLite holds


@dataclass(frozen=True)
class Point:
    """One value of a metric; the timestamp in milliseconds since 1970."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True)
class RunCopy:
    """A run's folder in a file store. Of one run there may be several, pulled at different times from different places.

    Attributes:
        run_id: 32 hexadecimal digits.
        experiment: The experiment's name.
        path: The folder.
    """

    run_id: str
    experiment: str
    path: Path

    @property
    def artifacts(self) -> Path:
        """Where its artifacts lie."""
        return self.path / ARTIFACTS

    def state(self) -> list[object]:
        """What changes when the run does, JSON-able; its artifacts do not count."""
        names = [name for name in list_files(self.path) if not name.startswith(f"{ARTIFACTS}/")]
        return [str(self.path.absolute()), [(name, *(read_stamp(self.path / name) or ())[:2]) for name in names]]


@dataclass(frozen=True)
class StoredRun:
    """What a run's folder says.

    Attributes:
        copy: The folder.
        name: The run's name.
        user: Who ran it.
        status: `RUNNING`, `FINISHED` …
        start_time: Milliseconds since 1970, None where unknown; and so `end_time`.
        params: Parameters.
        tags: Tags.
        points: The history of every metric.
    """

    copy: RunCopy
    name: str
    user: str
    status: str
    start_time: int | None
    end_time: int | None
    params: dict[str, str]
    tags: dict[str, str]
    points: tuple[Point, ...]

    @property
    def last_sign(self) -> int:
        """When the run was last heard of, milliseconds since 1970: of two copies, the later one is further."""
        return max(self.start_time or 0, self.end_time or 0, *(point.timestamp for point in self.points), 0)


def list_copies(folder: Path) -> Iterator[RunCopy]:
    """The runs in every file store at or below a folder. An experiment that cannot be read is logged and left out."""
    for store in find_stores(folder):
        for path in sorted(store.iterdir()):
            if path.name.isdigit() and (path / META).is_file():
                yield from _list_runs(path)


def read_run(copy: RunCopy) -> StoredRun | None:
    """Read a run; None where it is marked as deleted.

    Raises:
        InputError: Its files are not as MLflow writes them.
    """
    meta = _read_meta(copy.path)
    if meta.get("run_id", meta.get("run_uuid")) != copy.run_id:
        raise InputError(f"{copy.path / META} is of another run")
    if meta.get("lifecycle_stage", "active") != "active":
        return None
    status = meta.get("status", 1)
    tags = _read_values(copy.path / "tags")
    return StoredRun(
        copy=copy,
        name=_label(meta.get("run_name")) or tags.get("mlflow.runName", copy.run_id)[:MAX_NAME_CHARS],
        user=_label(meta.get("user_id")),
        status=STATUSES.get(status, "RUNNING") if isinstance(status, int) else "RUNNING",
        start_time=_read_time(copy, meta.get("start_time")),
        end_time=_read_time(copy, meta.get("end_time")),
        params=_read_values(copy.path / "params"),
        tags=tags,
        points=tuple(_read_points(copy.path / METRICS)),
    )


def _list_runs(experiment: Path) -> Iterator[RunCopy]:
    try:
        meta = _read_meta(experiment)
        name = meta.get("name")
        if not (isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= MAX_NAME_CHARS):
            raise InputError(f"{experiment / META} names no experiment")
    except InputError as error:
        logger.warning("%s; its runs are left out", error)
        return
    if meta.get("lifecycle_stage", "active") == "active":
        for path in sorted(experiment.iterdir()):
            if RUN_ID.fullmatch(path.name) and (path / META).is_file():
                yield RunCopy(path.name, name, path)


def _read_meta(folder: Path) -> dict[str, Any]:
    meta = read_yaml(folder / META)
    if not isinstance(meta, dict):
        raise InputError(f"{folder / META} is no mapping")
    return meta


def _label(value: object) -> str:
    """A short text that a table takes."""
    return value[:MAX_NAME_CHARS] if isinstance(value, str) else ""


def _read_time(copy: RunCopy, value: object) -> int | None:
    if value is None or (isinstance(value, int) and 0 <= value <= MAX_INTEGER):
        return value
    raise InputError(f"{copy.path / META} has a time that is none: {str(value)[:40]}")


def _read_values(folder: Path) -> dict[str, str]:
    """The files of `params` or `tags` by name."""
    names = [name for name in list_files(folder) if len(name) <= MAX_NAME_CHARS]
    return {name: read_text(folder / name)[:MAX_VALUE_CHARS] for name in names}


def _read_points(folder: Path) -> Iterator[Point]:
    """The lines `timestamp value [step …]` of every metric. A last line without its end is not there yet."""
    for key in list_files(folder):
        lines = read_text(folder / key).split("\n")[:-1]
        try:
            points = [_parse_point(key, line) for line in lines]
        except ValueError as error:
            raise InputError(f"{folder / key} is no history of a metric: {error}") from error
        yield from points


def _parse_point(key: str, line: str) -> Point:
    timestamp, value, *rest = line.split(" ")
    point = Point(key, float(value), int(timestamp), int(rest[0]) if rest else 0)
    if len(key) > MAX_NAME_CHARS or max(abs(point.timestamp), abs(point.step)) > MAX_INTEGER:
        raise ValueError("a name or number that is too long")
    return point
