"""The wire format of Kaggle's API: camelCase JSON that leaves out fields at their default; dates, pages, errors."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from starlette.responses import Response

T = TypeVar("T")


class ApiError(Exception):
    """An answer with an HTTP error status, and the reason that the client prints."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def denied(permission: str) -> ApiError:
    """What Kaggle says both for a thing that is not yours and for one that does not exist."""
    return ApiError(403, f"Permission '{permission}' was denied")


class Message:
    """A request's body. A field that is missing, or null, has its default, as the client leaves defaults out."""

    def __init__(self, values: Any) -> None:
        if not isinstance(values, Mapping):
            raise ApiError(400, "The body must be a JSON object")
        self.values: Mapping[str, Any] = values

    def text(self, name: str) -> str:
        """A string, '' by default."""
        return str(self._get(name, str, ""))

    def number(self, name: str) -> int:
        """A whole number, 0 by default."""
        return int(self._get(name, int, 0))

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean. Most are false when left out; a few calls have an optional one with another default."""
        return bool(self._get(name, bool, default))

    def texts(self, name: str) -> list[str]:
        """A list of strings, empty by default."""
        items = self._get(name, list, [])
        if not all(isinstance(item, str) for item in items):
            raise ApiError(400, f"Invalid value for '{name}'")
        return list(items)

    def message(self, name: str) -> Message:
        """A nested object, empty by default."""
        return Message(self._get(name, dict, {}))

    def messages(self, name: str) -> list[Message]:
        """A list of nested objects, empty by default."""
        return [Message(item) for item in self._get(name, list, [])]

    def _get(self, name: str, kind: type, default: Any) -> Any:
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ApiError(400, f"Invalid value for '{name}'")
        return value


@dataclass(frozen=True)
class Call:
    """One call of the API.

    Attributes:
        body: The request.
        base: What the caller calls this server, for instance `http://localhost`; addresses in answers start with it.
    """

    body: Message
    base: str


Handler = Callable[[Call], dict[str, Any] | Response]


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as the API's date, in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def duration(seconds: float) -> str:
    """Seconds as the API's duration, whole."""
    return f"{int(seconds)}s"


def slugify(title: str) -> str:
    """The slug that Kaggle makes of a title: lower-case words joined by hyphens, as an address can hold them."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


def paged(items: Sequence[T], body: Message, limit: int = 200) -> tuple[list[T], str]:
    """One page of a list, 20 items by default, and the token of the next page ('' after the last).

    The page is chosen by the request's `pageToken`, or else by its `page`, counted from 1.
    """
    size = min(max(body.number("pageSize"), 0) or 20, limit)
    token = body.text("pageToken")
    start = _read_token(token) if token else (max(body.number("page"), 1) - 1) * size
    end = start + size
    return list(items[start:end]), _write_token(end) if end < len(items) else ""


def _write_token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"offset:{offset}".encode()).decode()


def _read_token(token: str) -> int:
    try:
        word, _, offset = base64.urlsafe_b64decode(token).decode().partition(":")
        if word == "offset":
            return max(int(offset), 0)
    except (binascii.Error, ValueError):
        pass
    raise ApiError(400, "Invalid page token")
