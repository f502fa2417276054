"""Uploads of single files that can be broken off and resumed, in the protocol of Cloud Storage that the client speaks.

https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from rsna.local_kaggle.faults import Faults
from rsna.local_kaggle.protocol import ApiError, Call
from rsna.local_kaggle.store import Store

MAX_NAME_BYTES = 255


@dataclass(frozen=True)
class Upload:
    """A file that is being uploaded, or has been: its name as the client says it, and its bytes in `path`."""

    token: str
    name: str
    size: int
    complete: bool
    path: Path


class Blobs:
    """Uploads by token. The token is the address as well: 256 random bits."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self.store = store
        self.faults = faults

    def start(self, call: Call, name_field: str = "name") -> dict[str, Any]:
        """StartBlobUpload: announce a file and get the address to send it to."""
        name, size = call.body.text(name_field), call.body.number("contentLength")
        if name in ("", ".", "..") or re.search(r"[/\x00-\x1f]", name) or len(name.encode()) > MAX_NAME_BYTES:
            raise ApiError(400, f"Invalid file name {name!r}")
        if size < 0:
            raise ApiError(400, "Invalid content length")
        token = secrets.token_urlsafe(32)
        (self.store.uploads / token).touch()
        self.store.write("INSERT INTO uploads (token, name, size) VALUES (?, ?, ?)", token, name, size)
        return {"token": token, "createUrl": f"{call.base}/upload/{token}"}

    def find(self, token: str) -> Upload:
        """The upload of a token, or `ApiError` 404."""
        row = self.store.row("SELECT * FROM uploads WHERE token = ?", token)
        if row is None:
            raise ApiError(404, "Upload not found or expired")
        return Upload(token, row["name"], row["size"], bool(row["complete"]), self.store.uploads / token)

    def finished(self, token: str) -> Upload:
        """The complete upload of a token that nothing has been made of yet, or `ApiError` 400."""
        row = self.store.row("SELECT token FROM uploads WHERE token = ? AND complete AND NOT used", token)
        if row is None:
            raise ApiError(400, "Invalid blob token: the file has not been uploaded")
        return self.find(token)

    def discard(self, token: str) -> None:
        """Forget an upload and its bytes."""
        self.store.write("DELETE FROM uploads WHERE token = ?", token)
        (self.store.uploads / token).unlink(missing_ok=True)

    async def receive(self, token: str, content_range: str, body: AsyncIterator[bytes]) -> Response:
        """Take the bytes of one PUT.

        Args:
            token: Of the upload.
            content_range: The header: `bytes */N` asks how far the upload is, `bytes a-b/N` continues at a, and an
                empty one starts from the beginning.
            body: The bytes. What has arrived is kept when the connection breaks.

        Returns:
            200 when the file is complete, 308 with the header `Range` when more is to come.
        """
        upload = self.find(token)
        if re.fullmatch(r"bytes \*/(\d+|\*)", content_range):
            return self._how_far(upload)
        if self.faults.take("upload-refused"):
            return Response("Internal error", 500)
        cut = upload.size // 2 if upload.size and self.faults.take("upload-cut") else None
        try:
            await self._append(upload, _start(content_range), body, cut)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody is there to read it
        return Response("Service unavailable", 503) if cut is not None else self._state(upload)

    async def _append(self, upload: Upload, start: int, body: AsyncIterator[bytes], cut: int | None) -> None:
        if upload.complete or start > upload.path.stat().st_size:
            raise ApiError(400, "Invalid content range")
        limit = upload.size if cut is None else cut
        with upload.path.open("r+b") as file:
            file.seek(start)
            file.truncate()
            async for chunk in body:
                if file.tell() + len(chunk) > upload.size:
                    raise ApiError(400, f"More bytes than the announced {upload.size}")
                file.write(chunk[: max(limit - file.tell(), 0)])

    def _how_far(self, upload: Upload) -> Response:
        if self.faults.take("upload-expired"):
            raise ApiError(404, "Upload not found or expired")
        return self._state(upload)

    def _state(self, upload: Upload) -> Response:
        stored = upload.path.stat().st_size
        if stored == upload.size:
            self.store.write("UPDATE uploads SET complete = 1 WHERE token = ?", upload.token)
            return Response(status_code=200)
        return Response(status_code=308, headers={"Range": f"bytes=0-{stored - 1}"} if stored else None)


def _start(content_range: str) -> int:
    """The first byte of a PUT."""
    if not content_range:
        return 0
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", content_range)
    if match is None:
        raise ApiError(400, f"Invalid content range {content_range!r}")
    return int(match[1])
