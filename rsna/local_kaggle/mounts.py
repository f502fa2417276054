"""What lies where below `/kaggle/input` in a session: in the layout of 2026, or in the older one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsna.local_kaggle.competition_data import entries
from rsna.local_kaggle.context import Context
from rsna.local_kaggle.dataset_records import DatasetRecords

logger = logging.getLogger(__name__)

INPUT = "/kaggle/input"


@dataclass(frozen=True)
class Mount:
    """A file or folder on this machine, and the absolute path that a session sees it at."""

    host: Path
    path: str


class Mounts:
    """Computes the mounts of sessions. What is not ready is left out without a word, as on Kaggle."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.store = context.store
        self.datasets = DatasetRecords(context)

    def of(self, request: dict[str, Any], hidden: str = "") -> tuple[Mount, ...]:
        """The mounts of a session.

        Args:
            request: The push of the kernel, with its sources.
            hidden: The competition whose hidden test data take the place of the visible ones; '' for none.
        """
        old = self.context.faults.take("old-layout") is not None
        mounts: dict[str, list[Mount]] = {}
        for kind, owner, slug, host in self._sources(request):
            path = f"{INPUT}/{slug}" if old else "/".join(filter(None, (INPUT, kind, owner, slug)))
            if path not in mounts:  # in the old layout two sources can have one path
                parts = entries(host, hidden == slug) if kind == "competitions" else {"": host}
                mounts[path] = [Mount(place, f"{path}/{name}".rstrip("/")) for name, place in parts.items()]
        return tuple(mount for group in mounts.values() for mount in group)

    def _sources(self, request: dict[str, Any]) -> Iterator[tuple[str, str, str, Path]]:
        """Kind, owner, slug and folder of every source that has something to mount."""
        for source in request.get("datasetDataSources", []):
            owner, slug = source.split("/")[:2]
            if folder := self._dataset(owner, slug):
                yield "datasets", owner, slug, folder
        for source in request.get("kernelDataSources", []):
            owner, slug, *version = source.split("/")
            if folder := self._output(owner, slug, version):
                yield "notebooks", owner, slug, folder
        for slug in request.get("competitionDataSources", []):
            row = self.store.row("SELECT folder FROM competitions WHERE name = ?", slug)
            if row and not self.context.faults.take("rules-not-accepted"):
                yield "competitions", "", slug, Path(row["folder"])

    def _dataset(self, owner: str, slug: str) -> Path | None:
        row = self.datasets.named(owner, slug)
        number = self.datasets.ready_version(row["id"]) if row else 0
        if row is None or not number:
            logger.warning("data set %s/%s is not ready and is not mounted", owner, slug)
            return None
        return self.store.dataset_folder(row["id"], number)

    def _output(self, owner: str, slug: str, version: list[str]) -> Path | None:
        """The output of a kernel's version, by default of the newest that completed."""
        query = """SELECT max(sessions.id) FROM sessions JOIN kernels ON kernels.id = kernel
                   WHERE owner = ? AND slug = ? AND submission IS NULL AND status = 'COMPLETE' AND ? IN ('', number)"""
        row = self.store.row(query, owner, slug, int(version[0]) if version else "")
        if row is None or row[0] is None:
            logger.warning("notebook %s/%s has no output and is not mounted", owner, slug)
            return None
        return self.store.working_folder(row[0])
