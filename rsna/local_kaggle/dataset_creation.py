"""New data sets and new versions, made of uploads."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from typing import Any

from rsna.local_kaggle.context import Context
from rsna.local_kaggle.dataset_records import DatasetRecords, dataset_address
from rsna.local_kaggle.processing import Processing
from rsna.local_kaggle.protocol import ApiError, Call, Handler, Message, denied

MAX_DEPTH = 32  # of folders in a request
IN_USE = 'The requested title "{}" is already in use by a dataset. Please choose another title.'
Upload = tuple[str, str]  # the folder in the data set, and the token


class DatasetCreation:
    """The calls of `datasets.DatasetApiService` that make versions."""

    def __init__(self, context: Context, processing: Processing) -> None:
        self.context = context
        self.store = context.store
        self.records = DatasetRecords(context)
        self.processing = processing

    def calls(self) -> dict[str, Handler]:
        """The calls by their names in the protocol."""
        return {
            "CreateDataset": self.create,
            "CreateDatasetVersion": self.create_version,
            "CreateDatasetVersionById": self.create_version,
        }

    def create(self, call: Call) -> dict[str, Any]:
        """A new data set with its first version. Without `isPrivate` it is public."""
        body = call.body
        owner, slug, title = body.text("ownerSlug"), body.text("slug"), body.text("title")
        if owner != self.context.user:
            raise denied("datasets.create")
        self._check_names(owner, slug, title)
        if problem := self._refusal(IN_USE.format(title) if self._is_used(owner, slug, title) else ""):
            return problem
        files, tags = self._uploads(body), self._known_tags(body)
        facts = (title, body.text("subtitle"), body.text("description"), body.text("licenseName"))
        values = (owner, slug, *facts, body.flag("isPrivate"), json.dumps(tags), time.time())
        with self.store.writing() as connection:
            columns = "owner, slug, title, subtitle, description, license, private, keywords, created"
            statement = f"INSERT INTO datasets ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            dataset = connection.execute(statement, values).lastrowid or 0
            version = _add_version(connection, dataset, "Initial release", files, delete_old=False)
        self.processing.submit(version)
        return _created(owner, slug, body, tags)

    def create_version(self, call: Call) -> dict[str, Any]:
        """A new version: exactly the files that are named here. The answer does not tell its number."""
        row = self.records.find(call.body, "datasets.update")
        body = call.body.message("body")
        if not self.store.row(
            "SELECT id FROM dataset_versions WHERE dataset = ? AND status IN ('READY', 'FAILED')", row["id"]
        ):
            raise denied("datasets.update")  # the first version is still being processed
        if problem := self._refusal(""):
            return problem
        files, tags = self._uploads(body), self._known_tags(body)
        with self.store.writing() as connection:
            notes, delete_old = body.text("versionNotes"), body.flag("deleteOldVersions")
            version = _add_version(connection, row["id"], notes, files, delete_old)
        self.processing.submit(version)
        return _created(row["owner"], row["slug"], body, tags)

    def _check_names(self, owner: str, slug: str, title: str) -> None:
        """Refuse with an error status what Kaggle refuses so."""
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug) or not 6 <= len(slug) <= 50:
            raise ApiError(400, f"Invalid dataset slug '{slug}': 6 to 50 lower-case letters, digits and hyphens")
        if not 6 <= len(title) <= 50:
            raise ApiError(400, "The dataset title must be between 6 and 50 characters")
        if self.store.row("SELECT id FROM kernels WHERE owner = ? AND slug = ?", owner, slug):
            raise ApiError(409, f"The slug '{slug}' is already in use by a notebook")

    def _is_used(self, owner: str, slug: str, title: str) -> bool:
        query = "SELECT id FROM datasets WHERE owner = ? AND (slug = ? OR title = ?)"
        return self.store.row(query, owner, slug, title) is not None

    def _refusal(self, problem: str) -> dict[str, Any] | None:
        """An answer with status 200 that says no: the client exits with 0 on it."""
        if fault := self.context.faults.take("create-refused"):
            problem = fault.message or "Dataset creation failed"
        return {"status": "error", "error": problem} if problem else None

    def _uploads(self, body: Message) -> list[Upload]:
        """Folder and token of every file of a request, those in `directories` included."""
        files = _collect(body, "", 0)
        if not files:
            raise ApiError(400, "A dataset needs at least one file")
        for _, token in files:
            self.context.blobs.finished(token)
        return files

    def _known_tags(self, body: Message) -> list[str]:
        return [] if self.context.faults.take("tags-refused") else body.texts("categoryIds")


def _collect(part: Message, folder: str, depth: int) -> list[Upload]:
    if depth > MAX_DEPTH:
        raise ApiError(400, "Folders are nested too deep")
    files = [(folder, file.text("token")) for file in part.messages("files")]
    for inner in part.messages("directories"):
        files += _collect(inner, f"{folder}{inner.text('name')}/", depth + 1)
    return files


def _add_version(
    connection: sqlite3.Connection, dataset: int, notes: str, files: list[Upload], delete_old: bool
) -> int:
    """Insert the next version and take the uploads; returns the version's id."""
    newest = "SELECT coalesce(max(number), 0) FROM dataset_versions WHERE dataset = ?"
    number = 1 + connection.execute(newest, (dataset,)).fetchone()[0]
    connection.executemany("UPDATE uploads SET used = 1 WHERE token = ?", [(token,) for _, token in files])
    statement = """INSERT INTO dataset_versions (dataset, number, notes, files, delete_old, status, created)
                   VALUES (?, ?, ?, ?, ?, 'NOT_YET_PERSISTED', ?)"""
    values = (dataset, number, notes, json.dumps(files), delete_old, time.time())
    return connection.execute(statement, values).lastrowid or 0


def _created(owner: str, slug: str, body: Message, tags: list[str]) -> dict[str, Any]:
    refused = [tag for tag in body.texts("categoryIds") if tag not in tags]
    return {"ref": f"{owner}/{slug}", "url": dataset_address(owner, slug), "status": "ok", "invalidTags": refused}
