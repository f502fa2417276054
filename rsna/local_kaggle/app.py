"""The routes: calls of the API, uploads, downloads, live logs."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from rsna.local_kaggle.context import Context
from rsna.local_kaggle.faults import Fault
from rsna.local_kaggle.guard import Guard, same
from rsna.local_kaggle.kernel_queries import KernelQueries
from rsna.local_kaggle.protocol import ApiError, Call, Handler, Message

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024


class Api:
    """Dispatches requests to the services."""

    def __init__(self, context: Context, token: str, services: dict[str, dict[str, Handler]]) -> None:
        """Take the services, each with its calls by name."""
        self.context = context
        self.token = token
        self.services = services
        self.services["security.OAuthService"] = {"IntrospectToken": self._introspect}
        self.services["api.v1.DiagnosticsService"] = {"Hello": lambda call: {"userName": context.user}}

    def guarded(self, port: int) -> Guard:
        """The ASGI app for a server that listens on `port`."""
        routes = [
            Route("/api/v1/kernels/logs/stream/{owner}/{slug}", self.log_stream),
            Route("/api/v1/{service}/{method}", self.call, methods=["POST"]),
            Route("/upload/{token}", self.upload, methods=["PUT"]),
            Route("/files/{signature}/{path:path}", self.download),
        ]
        handlers = {ApiError: _answer_error, Exception: _answer_error}
        return Guard(Starlette(routes=routes, exception_handlers=handlers), self.token, port)

    async def call(self, request: Request) -> Response:
        """One call of the API."""
        service, method = request.path_params["service"], request.path_params["method"]
        start = time.monotonic()
        body = await _read_json(request)
        response = await run_in_threadpool(self._dispatch, service, method, Call(body, _base(request)))
        logger.info("%s %s %d %.0f ms", service, method, response.status_code, 1000 * (time.monotonic() - start))
        return response

    def _dispatch(self, service: str, method: str, call: Call) -> Response:
        if fault := self.context.faults.take("http-error", method):
            return error_response(fault)
        handler = self.services.get(service, {}).get(method)
        if handler is None:
            hint = "; publish the bundle as a data set" if service.startswith("models.") else ""
            raise ApiError(404, f"The local Kaggle does not serve {service}/{method}{hint}")
        answer = handler(call)
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    async def upload(self, request: Request) -> Response:
        """The bytes of a file."""
        content_range = request.headers.get("content-range", "")
        return await self.context.blobs.receive(request.path_params["token"], content_range, request.stream())

    def download(self, request: Request) -> Response:
        """A file by its signed address, whole or a range of it."""
        path = self.context.links.resolve(request.path_params["signature"], request.path_params["path"])
        if self.context.faults.take("download-cut"):
            return _cut_download(path)
        return FileResponse(path)

    async def log_stream(self, request: Request) -> Response:
        """The live log of a kernel."""
        names = request.path_params
        queries = KernelQueries(self.context)
        label = request.query_params.get("versionLabel", "")
        return await run_in_threadpool(queries.log_stream, names["owner"], names["slug"], label)

    def _introspect(self, call: Call) -> dict[str, Any]:
        if not same(call.body.text("token"), self.token):
            raise ApiError(404, "Token not found")
        return {"active": True, "username": self.context.user, "userId": 1}


def error_response(fault: Fault) -> Response:
    """The answer of the fault `http-error`."""
    message = fault.message or f"The fault http-error is switched on ({fault.status})"
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else None
    if fault.body == "html":
        return HTMLResponse(f"<html><body>{message}</body></html>", fault.status, headers)
    flat = {"code": fault.status, "message": message}
    return JSONResponse({"error": flat} if fault.body == "nested" else flat, fault.status, headers)


async def _answer_error(request: Request, error: Exception) -> Response:
    if isinstance(error, ApiError):
        return JSONResponse({"code": error.status, "message": error.message}, error.status)
    logger.error("%s %s", request.method, request.url.path, exc_info=error)
    return JSONResponse({"code": 500, "message": "Internal error of the local Kaggle; see its log"}, 500)


async def _read_json(request: Request) -> Message:
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise ApiError(413, "The request is too large")
    try:
        return Message(json.loads(content or b"{}"))
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"The body is not JSON: {error}") from error


def _base(request: Request) -> str:
    """What the caller calls this server."""
    return f"http://{request.headers['host']}"


def _cut_download(path: Path) -> Response:
    size = path.stat().st_size

    async def half() -> AsyncIterator[bytes]:
        async with await anyio.open_file(path, "rb") as file:
            yield await file.read(size // 2)
        raise ConnectionResetError("the fault download-cut is switched on")

    headers = {"Content-Length": str(size), "Accept-Ranges": "bytes"}
    return StreamingResponse(half(), headers=headers, media_type="application/octet-stream")
