"""Reading kernels: source, status, log and output of any version, and lists."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from operator import itemgetter
from pathlib import Path
from typing import Any

from starlette.responses import RedirectResponse, Response, StreamingResponse

from rsna.local_kaggle.context import Context
from rsna.local_kaggle.files import File, list_files
from rsna.local_kaggle.kernel_records import KernelRecords
from rsna.local_kaggle.listings import wants_kernel
from rsna.local_kaggle.protocol import ApiError, Call, Handler, Message, paged, timestamp
from rsna.local_kaggle.sessions import ACTIVE, POLL_SECONDS, read_log

MAX_OUTPUT_PAGE = 500
SOURCES = ("datasetDataSources", "kernelDataSources", "competitionDataSources", "modelDataSources", "categoryIds")
FACTS = ("isPrivate", "enableGpu", "enableTpu", "enableInternet", "dockerImage", "machineShape")


class KernelQueries:
    """The calls of `kernels.KernelsApiService` that change nothing."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.store = context.store
        self.records = KernelRecords(context.store)

    def calls(self) -> dict[str, Handler]:
        """The calls by their names in the protocol."""
        return {
            "DownloadKernelOutput": self.download,
            "GetKernel": self.get,
            "GetKernelSessionStatus": self.status,
            "ListKernelFiles": self.files,
            "ListKernelSessionOutput": self.output,
            "ListKernels": self.listing,
        }

    def get(self, call: Call) -> dict[str, Any]:
        """Source and metadata of a version."""
        kernel, version = self.records.wanted(call.body)
        request = json.loads(version["request"])
        blob = {"source": request["text"], "language": kernel["language"], "kernelType": kernel["type"]}
        return {"metadata": self._metadata(kernel, version), "blob": {**blob, "slug": kernel["slug"]}}

    def status(self, call: Call) -> dict[str, Any]:
        """How far a version's run is."""
        _, version = self.records.wanted(call.body)
        return {"status": version["status"], "failureMessage": version["reason"]}

    def output(self, call: Call) -> dict[str, Any]:
        """The output of a version, a page at a time, and its whole log with every page."""
        _, version = self.records.wanted(call.body)
        page, token = paged(self._output(version), call.body, MAX_OUTPUT_PAGE)
        files = [{"fileName": f.name, "url": self.context.links.address(call.base, f.path)} for f in page]
        return {"files": files, "log": read_log(self.store.session_folder(version["id"])), "nextPageToken": token}

    def files(self, call: Call) -> dict[str, Any]:
        """Names and sizes of a version's output."""
        _, version = self.records.wanted(call.body)
        page, token = paged(self._output(version), call.body)
        told = [{"name": f.name, "size": f.size, "creationDate": timestamp(f.modified)} for f in page]
        return {"files": told, "nextPageToken": token}

    def download(self, call: Call) -> Response:
        """One file of an output."""
        body = call.body
        kernel = self.records.named(body.text("ownerSlug"), body.text("kernelSlug"))
        version = self.records.version(kernel["id"], body.number("versionNumber")) if kernel else None
        files = self._output(version) if version else []
        path = next((file.path for file in files if file.name == body.text("filePath")), None)
        if path is None:
            raise ApiError(404, "File not found")
        return RedirectResponse(self.context.links.address(call.base, path), 302)

    def listing(self, call: Call) -> dict[str, Any]:
        """The kernels that are asked for, newest first, or last run first."""
        told = []
        for kernel in self.store.rows("SELECT * FROM kernels ORDER BY id DESC"):
            version = self.records.version(kernel["id"])
            if version and wants_kernel(kernel, json.loads(version["request"]), self._output(version), call.body):
                told.append(self._metadata(kernel, version))
        if call.body.text("sortBy") == "DATE_RUN":
            told.sort(key=itemgetter("lastRunTime"), reverse=True)
        page, token = paged(told, call.body, limit=100)
        return {"kernels": page, "nextPageToken": token}

    def log_stream(self, owner: str, slug: str, label: str) -> Response:
        """The log of a running version as server-sent events, from its start; of a finished one as a JSON array."""
        _, version = self.records.wanted(Message({"userName": owner, "kernelSlug": slug, "versionLabel": label}))
        if version["status"] not in ACTIVE:
            return Response(read_log(self.store.session_folder(version["id"])), media_type="application/json")
        return StreamingResponse(self._events(version["id"]), media_type="text/event-stream")

    async def _events(self, session: int) -> AsyncIterator[str]:
        position = 0
        cut = self.context.faults.take("log-cut") is not None
        while True:
            row = self.store.row("SELECT status FROM sessions WHERE id = ?", session)
            path = self.store.session_folder(session) / "log.jsonl"
            lines = _read_lines(path, position)
            position += len(lines)
            for line in lines.decode("utf-8").splitlines():
                yield f"data: {line}\n\n"
                if cut:
                    raise ConnectionResetError("the fault log-cut is switched on")
            if row is None or row["status"] not in ACTIVE:
                yield "data: END_OF_LOG\n\n"
                return
            await asyncio.sleep(POLL_SECONDS)

    def _output(self, version: sqlite3.Row) -> list[File]:
        """What a version has left: nothing to be seen before its run has ended."""
        return [] if version["status"] in ACTIVE else list_files(self.store.working_folder(version["id"]))

    def _metadata(self, kernel: sqlite3.Row, version: sqlite3.Row) -> dict[str, Any]:
        request = json.loads(version["request"])
        return {
            "id": kernel["id"],
            "ref": f"{kernel['owner']}/{kernel['slug']}",
            "title": kernel["title"],
            "author": kernel["owner"],
            "slug": kernel["slug"],
            "lastRunTime": timestamp(version["started"] or version["created"]),
            "language": kernel["language"],
            "kernelType": kernel["type"],
            "currentVersionNumber": version["number"],
            **{key: request[key] for key in (*SOURCES, *FACTS)},
        }


def _read_lines(path: Path, position: int) -> bytes:
    """The complete lines of a growing file from a position on."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(position)
        text = file.read()
    return text[: text.rfind(b"\n") + 1]
