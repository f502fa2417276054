"""Data sets as they are stored: found by owner and slug, or by id; the files of their versions."""

from __future__ import annotations

import sqlite3
from typing import Any

from rsna.local_kaggle.context import Context
from rsna.local_kaggle.files import File, list_files, total_size
from rsna.local_kaggle.protocol import ApiError, Message, denied, timestamp


class DatasetRecords:
    """Reads data sets for the calls and for the mounts of sessions."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.store = context.store

    def named(self, owner: str, slug: str) -> sqlite3.Row | None:
        """The data set of an owner and a slug."""
        return self.store.row("SELECT * FROM datasets WHERE owner = ? AND slug = ?", owner, slug)

    def find(self, body: Message, permission: str) -> sqlite3.Row:
        """The data set that a request names by `ownerSlug` and `datasetSlug`, or by `id`; `ApiError` 403 if none."""
        row = self.named(body.text("ownerSlug"), body.text("datasetSlug"))
        row = row or self.store.row("SELECT * FROM datasets WHERE id = ?", body.number("id"))
        if row is None:
            raise denied(permission)
        return row

    def ready_version(self, dataset: int, number: int = 0) -> int:
        """The number of a ready version, by default the newest; 0 where there is none."""
        query = "SELECT max(number) FROM dataset_versions WHERE dataset = ? AND status = 'READY' AND ? IN (0, number)"
        row = self.store.row(query, dataset, number)
        return row[0] or 0 if row else 0

    def wanted_version(self, body: Message, dataset: int) -> int:
        """The ready version that a request asks for by `datasetVersionNumber`, or `ApiError` 404."""
        number = self.ready_version(dataset, body.number("datasetVersionNumber"))
        if not number:
            raise ApiError(404, "Dataset version not found")
        return number

    def files(self, dataset: int, number: int) -> list[File]:
        """The files of a ready version."""
        return list_files(self.store.dataset_folder(dataset, number))

    def summary(self, row: sqlite3.Row) -> dict[str, Any]:
        """A data set as the API tells it; `currentVersionNumber` is that of the newest ready version."""
        number = self.ready_version(row["id"])
        query = "SELECT created FROM dataset_versions WHERE dataset = ? AND number = ?"
        version = self.store.row(query, row["id"], number)
        told = {
            "ref": f"{row['owner']}/{row['slug']}",
            "url": dataset_address(row["owner"], row["slug"]),
            "licenseName": row["license"],
            "ownerName": row["owner"],
            "ownerRef": row["owner"],
            "creatorName": row["owner"],
            "isPrivate": bool(row["private"]),
            "currentVersionNumber": number,
            "lastUpdated": timestamp(version["created"] if version else row["created"]),
            "totalBytes": total_size(self.files(row["id"], number)),
        }
        return told | {key: row[key] for key in ("id", "title", "subtitle", "description")}


def dataset_address(owner: str, slug: str) -> str:
    """Where the real Kaggle would show a data set."""
    return f"https://www.kaggle.com/datasets/{owner}/{slug}"
