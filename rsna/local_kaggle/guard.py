"""Who may talk to the server: programs on this machine that have its token, and no web page.

The server executes notebooks, so whatever can push one to it can do anything that its user can. It listens on the
loopback interface only. A page in a browser can send requests there all the same, its own or through a name that it
has let point to 127.0.0.1: hence every request with an `Origin` is refused, and every one whose `Host` is not this
machine. As a proxy it leads to itself alone.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from urllib.parse import unquote

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN_PATHS = ("/upload/", "/files/", "/api/v1/security.OAuthService/IntrospectToken")  # their secret is in the request
NAMES = ("localhost", "127.0.0.1", "[::1]")


def refusal(status: int, message: str) -> Response:
    """An error in the form of the API."""
    return JSONResponse({"code": status, "message": message}, status)


class Guard:
    """ASGI middleware that lets through what may pass, with the path of a proxy request made relative."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        """Guard an app.

        Args:
            app: What is behind the guard.
            token: What a caller must know.
            port: That the server listens on; callers may also call it by the port 80, which they mean by no port.
        """
        self.app = app
        self.token = token
        self.hosts = frozenset(f"{name}{suffix}" for name in NAMES for suffix in ("", ":80", f":{port}"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            return
        problem = self._problem(scope)
        await (problem or self.app)(scope, receive, send)

    def _problem(self, scope: Scope) -> Response | None:
        if not self._make_relative(scope):
            return refusal(403, "This proxy leads to the local Kaggle alone")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == "host"]
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return refusal(403, "The local Kaggle answers to localhost only")
        if any(name == "origin" for name, _ in headers):
            return refusal(403, "The local Kaggle is not for web pages")
        if not scope["path"].startswith(OPEN_PATHS) and not self._knows_token(headers):
            return refusal(401, "Unauthenticated")
        return None

    def _make_relative(self, scope: Scope) -> bool:
        """Strip scheme and host off the target of a proxy request; False where it leads elsewhere."""
        target = scope["raw_path"].decode("latin-1")
        if scope["method"] == "CONNECT":
            return False
        if target.startswith("/"):
            return True
        match = re.fullmatch(r"http://([^/]+)(/.*)", target)
        if match is None or match[1].lower() not in self.hosts:
            return False
        scope["raw_path"], scope["path"] = match[2].encode("latin-1"), unquote(match[2])
        return True

    def _knows_token(self, headers: Iterable[tuple[str, str]]) -> bool:
        """Whether a request has the token, as a bearer's or as the password of a legacy key."""
        scheme, _, value = next((value for name, value in headers if name == "authorization"), "").partition(" ")
        given = value
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(value, validate=True).decode("utf-8").partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        return scheme.lower() in ("bearer", "basic") and same(given, self.token)


def same(given: str, token: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode("utf-8"))
