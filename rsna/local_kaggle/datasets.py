"""Data sets: their status, files and metadata."""

from __future__ import annotations

import json
from operator import itemgetter
from typing import Any

from starlette.responses import RedirectResponse, Response

from rsna.local_kaggle.context import Context
from rsna.local_kaggle.dataset_records import DatasetRecords
from rsna.local_kaggle.files import remove_tree, write_zip
from rsna.local_kaggle.listings import choice, wants_dataset
from rsna.local_kaggle.protocol import ApiError, Call, Handler, paged, timestamp


class Datasets:
    """The calls of `datasets.DatasetApiService` that make no version."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.store = context.store
        self.records = DatasetRecords(context)

    def calls(self) -> dict[str, Handler]:
        """The calls by their names in the protocol."""
        return {
            "DeleteDataset": self.delete,
            "DownloadDataset": self.download,
            "GetDataset": self.get,
            "GetDatasetMetadata": self.metadata,
            "GetDatasetStatus": self.status,
            "ListDatasetFiles": self.files,
            "ListDatasets": self.listing,
            "UpdateDatasetMetadata": self.update_metadata,
        }

    def status(self, call: Call) -> dict[str, Any]:
        """How far the newest version is."""
        row = self.records.find(call.body, "datasets.get")
        if self.context.faults.take("stale-status") and self.records.ready_version(row["id"]):
            return {"status": "READY"}
        query = "SELECT status FROM dataset_versions WHERE dataset = ? ORDER BY number DESC"
        newest = self.store.row(query, row["id"])
        return {"status": newest["status"] if newest else "NOT_YET_PERSISTED"}

    def get(self, call: Call) -> dict[str, Any]:
        """All about one data set, its versions newest first, with the reason where one failed."""
        row = self.records.find(call.body, "datasets.get")
        versions = self.store.rows("SELECT * FROM dataset_versions WHERE dataset = ? ORDER BY number DESC", row["id"])
        told = [
            {
                "versionNumber": version["number"],
                "creationDate": timestamp(version["created"]),
                "versionNotes": version["notes"],
                "status": version["reason"] or version["status"],
            }
            for version in versions
        ]
        return {**self.records.summary(row), "versions": told}

    def listing(self, call: Call) -> dict[str, Any]:
        """The data sets that are asked for, newest first, or last updated first."""
        told = []
        for row in self.store.rows("SELECT * FROM datasets ORDER BY id DESC"):
            files = self.records.files(row["id"], self.records.ready_version(row["id"]))
            if wants_dataset(row, files, json.loads(row["keywords"]), call.body):
                told.append(self.records.summary(row))
        if choice(call.body, "sortBy", "DATASET_SORT_BY_") in ("UPDATED", "ACTIVE"):
            told.sort(key=itemgetter("lastUpdated"), reverse=True)
        page, token = paged(told, call.body)
        return {"datasets": page, "nextPageToken": token}

    def files(self, call: Call) -> dict[str, Any]:
        """The files of a version, the current one by default, a page at a time."""
        row = self.records.find(call.body, "datasets.get")
        files = self.records.files(row["id"], self.records.wanted_version(call.body, row["id"]))
        page, token = paged(files, call.body)
        told = [{"name": f.name, "totalBytes": f.size, "creationDate": timestamp(f.modified)} for f in page]
        return {"datasetFiles": told, "nextPageToken": token}

    def download(self, call: Call) -> Response:
        """One file, or all of them as a zip archive."""
        row = self.records.find(call.body, "datasets.get")
        number = self.records.wanted_version(call.body, row["id"])
        files = self.records.files(row["id"], number)
        if name := call.body.text("fileName"):
            path = next((file.path for file in files if file.name == name), None)
            if path is None:
                raise ApiError(404, "File not found")
        else:
            path = self.store.downloads / f"dataset-{row['id']}-{number}" / f"{row['slug']}.zip"
            if not path.exists():
                write_zip(path, files)
        return RedirectResponse(self.context.links.address(call.base, path), 302)

    def metadata(self, call: Call) -> dict[str, Any]:
        """What `dataset-metadata.json` holds."""
        row = self.records.find(call.body, "datasets.get")
        told = {"datasetId": row["id"], "datasetSlug": row["slug"], "ownerUser": row["owner"]}
        facts = {key: row[key] for key in ("title", "subtitle", "description")}
        licenses = [{"name": row["license"]}] if row["license"] else []
        lists = {"keywords": json.loads(row["keywords"]), "licenses": licenses}
        return {"info": {**told, **facts, "isPrivate": bool(row["private"]), **lists}}

    def update_metadata(self, call: Call) -> dict[str, Any]:
        """Replace the metadata. What the client leaves out is blanked, and the data set becomes public by it."""
        row = self.records.find(call.body, "datasets.update")
        settings = call.body.message("settings")
        licenses = settings.messages("licenses")
        values = (
            *(settings.text(key) for key in ("title", "subtitle", "description")),
            licenses[0].text("name") if licenses else "",
            settings.flag("isPrivate"),
            json.dumps(settings.texts("keywords")),
        )
        fields = "title = ?, subtitle = ?, description = ?, license = ?, private = ?, keywords = ?"
        self.store.write(f"UPDATE datasets SET {fields} WHERE id = ?", *values, row["id"])
        return {"errors": []}

    def delete(self, call: Call) -> dict[str, Any]:
        """Delete a data set with all its versions."""
        row = self.records.find(call.body, "datasets.delete")
        self.store.write("DELETE FROM datasets WHERE id = ?", row["id"])
        remove_tree(self.store.datasets / str(row["id"]))
        return {}
