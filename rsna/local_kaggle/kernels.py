"""Pushing kernels: every push is a new version, and a run of it."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from rsna.local_kaggle.context import Context
from rsna.local_kaggle.dataset_records import DatasetRecords
from rsna.local_kaggle.kernel_records import KernelRecords, kernel_address
from rsna.local_kaggle.protocol import ApiError, Call, Handler, Message, denied, slugify
from rsna.local_kaggle.quota import Quota, is_gpu
from rsna.local_kaggle.sessions import Sessions

IMAGES = ("gcr.io/kaggle-images/", "gcr.io/kaggle-gpu-images/", "gcr.io/kaggle-private-byod/")
KINDS = ("Dataset", "Kernel", "Competition", "Model")
FLAGS = {"isPrivate": True, "enableGpu": False, "enableTpu": False, "enableInternet": True}


class Kernels:
    """The calls of `kernels.KernelsApiService` that change something."""

    def __init__(self, context: Context, sessions: Sessions) -> None:
        self.context = context
        self.store = context.store
        self.records = KernelRecords(context.store)
        self.datasets = DatasetRecords(context)
        self.sessions = sessions
        self.quota = Quota(context)

    def calls(self) -> dict[str, Handler]:
        """The calls by their names in the protocol."""
        return {"SaveKernel": self.save, "DeleteKernel": self.delete}

    def save(self, call: Call) -> dict[str, Any]:
        """A push. Sources that do not exist are dropped with status 200, and the run starts without them."""
        kernel, owner, slug, title = self._target(call.body)
        request = _request(call.body, f"{owner}/{slug}")
        if error := self._refusal(request):
            return {"error": error}
        dropped = self._drop_sources(request)
        with self.store.writing() as connection:
            kernel = kernel or _insert_kernel(connection, owner, slug, title, request)
            connection.execute("UPDATE kernels SET title = ? WHERE id = ?", (title, kernel))
            number, session = _insert_version(connection, kernel, request)
        if request["runs"]:
            self.sessions.submit(session)
        told = {"ref": f"/{owner}/{slug}", "url": kernel_address(owner, slug), "versionNumber": number}
        return {**told, "kernelId": kernel, **{f"invalid{kind}Sources": lost for kind, lost in dropped.items()}}

    def delete(self, call: Call) -> dict[str, Any]:
        """Delete a kernel with all its versions and their output."""
        row = self.records.find(call.body)
        self.sessions.forget(row["id"])
        lost = "UPDATE submissions SET status = 'ERROR', error = ? WHERE kernel = ? AND status = 'PENDING'"
        self.store.write(lost, "Notebook was deleted", row["id"])
        self.store.write("DELETE FROM kernels WHERE id = ?", row["id"])
        return {}

    def _target(self, body: Message) -> tuple[int, str, str, str]:
        """The id (0 for a new one), owner, slug and title of the kernel that a push is for.

        A new kernel gets the slug of its title, whatever slug the push names.
        """
        title = body.text("newTitle")
        row = self.store.row("SELECT * FROM kernels WHERE id = ?", body.number("id"))
        if body.number("id") and row is None:
            raise ApiError(404, "Notebook not found")
        owner, _, slug = body.text("slug").partition("/")
        row = row or self.records.named(owner, slug)
        if row is not None:
            self._check_same_kind(row, body)
            return row["id"], row["owner"], row["slug"], title or row["title"]
        if owner != self.context.user:
            raise denied("kernels.update")
        slug = slugify(title or slug)
        self._check_free(owner, slug)
        return 0, owner, slug, title or slug

    def _check_same_kind(self, row: sqlite3.Row, body: Message) -> None:
        if body.text("kernelType") != row["type"]:
            raise ApiError(400, f"The kernel type cannot be changed; it is {row['type']}")

    def _check_free(self, owner: str, slug: str) -> None:
        if not 5 <= len(slug) <= 50:
            raise ApiError(400, f"Invalid slug '{slug}': 5 to 50 characters")
        if self.records.named(owner, slug):
            raise ApiError(409, f"The slug '{slug}' is already in use by a notebook; its title resolves to it")
        if self.datasets.named(owner, slug):
            raise ApiError(409, f"The slug '{slug}' is already in use by a dataset")

    def _refusal(self, request: dict[str, Any]) -> str:
        """Why a push is refused with status 200, on which the client exits with 0; or ''."""
        image = request.get("dockerImage") or ""
        if image and not image.startswith(IMAGES):
            return f"Invalid docker image '{image}'"
        if fault := self.context.faults.take("push-refused"):
            return fault.message or "Notebook not found"
        return self.quota.refusal(request["gpu"]) if request["runs"] else ""

    def _drop_sources(self, request: dict[str, Any]) -> dict[str, list[str]]:
        """Remove from a push the sources that do not exist; returns them by kind."""
        all_of_them = self.context.faults.take("sources-dropped") is not None
        dropped = {}
        for kind in KINDS:
            key = f"{kind[0].lower()}{kind[1:]}DataSources"
            dropped[kind] = [s for s in request[key] if all_of_them or not self._exists(kind, s)]
            request[key] = [source for source in request[key] if source not in dropped[kind]]
        return dropped

    def _exists(self, kind: str, source: str) -> bool:
        parts = source.split("/")
        if kind == "Competition":
            return self.store.row("SELECT name FROM competitions WHERE name = ?", source) is not None
        if kind == "Model" or len(parts) not in (2, 3):
            return False
        if kind == "Dataset":
            return self.datasets.named(parts[0], parts[1]) is not None
        return self.records.named(parts[0], parts[1]) is not None and parts[2:] != [""]


def _request(body: Message, slug: str) -> dict[str, Any]:
    """A push as it is kept, with every field that a run needs."""
    if body.text("kernelType") not in ("script", "notebook"):
        raise ApiError(400, "Invalid kernel type")
    request: dict[str, Any] = {name: body.text(name) for name in ("text", "language", "kernelType", "dockerImage")}
    request |= {name: body.flag(name, default) for name, default in FLAGS.items()}
    for kind in KINDS:
        name = f"{kind[0].lower()}{kind[1:]}DataSources"
        request[name] = body.texts(name)
    shape = body.text("machineShape")
    return request | {
        "slug": slug,
        "categoryIds": body.texts("categoryIds"),
        "machineShape": shape,
        "gpu": is_gpu(shape, request["enableGpu"] or request["enableTpu"]),
        "sessionTimeoutSeconds": body.number("sessionTimeoutSeconds"),
        "runs": body.text("kernelExecutionType") != "QUICK_SAVE",
    }


def _insert_kernel(connection: sqlite3.Connection, owner: str, slug: str, title: str, request: dict[str, Any]) -> int:
    statement = "INSERT INTO kernels (owner, slug, title, language, type, created) VALUES (?, ?, ?, ?, ?, ?)"
    values = (owner, slug, title, request["language"], request["kernelType"], time.time())
    return connection.execute(statement, values).lastrowid or 0


def _insert_version(connection: sqlite3.Connection, kernel: int, request: dict[str, Any]) -> tuple[int, int]:
    """The next version of a kernel; returns its number and its session's id."""
    newest = "SELECT coalesce(max(number), 0) FROM sessions WHERE kernel = ? AND submission IS NULL"
    number = 1 + connection.execute(newest, (kernel,)).fetchone()[0]
    statement = "INSERT INTO sessions (kernel, number, request, status, created) VALUES (?, ?, ?, ?, ?)"
    values = (kernel, number, json.dumps(request), "QUEUED" if request["runs"] else "NEW_SCRIPT", time.time())
    return number, connection.execute(statement, values).lastrowid or 0
