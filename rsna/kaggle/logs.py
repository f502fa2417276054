"""The log of a kernel's run, live while it runs and whole afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rsna.errors import RsnaError
from rsna.kaggle.client import connect, refusals_as_errors, status_of

END_OF_LOG = "END_OF_LOG"
READ_TIMEOUT_S = 120.0  # a silent stream is closed and opened again: it is replayed from its beginning


@dataclass(frozen=True)
class KernelRun:
    """One version of a kernel, which is one run."""

    ref: str
    version: int
    url: str

    @property
    def label(self) -> str:
        """How Kaggle names the version."""
        return f"v{self.version}"

    @property
    def slug(self) -> str:
        """The kernel's, without its owner."""
        return self.ref.split("/")[1]

    def address(self, request: Any) -> Any:
        """A request of the client, addressed to exactly this run."""
        request.user_name, request.kernel_slug = self.ref.split("/")
        request.version_label = self.label
        return request


def write_log(run: KernelRun, seen: int, write: Callable[[str], object]) -> int:
    """Write what is new in the log of a run, for as long as it is streamed.

    Args:
        run: Whose log.
        seen: How many records have been written already.
        write: Takes the text of a record.

    Returns:
        How many records have been written now. A broken stream is no error: call again.
    """
    try:
        for number, record in enumerate(log_records(run)):
            if number >= seen:
                write(str(record.get("data", "")))
                seen = number + 1
    except RsnaError as error:
        if 400 <= status_of(error) < 429 and status_of(error) != 404:  # 404: nothing logged yet
            raise
    return seen


def log_records(run: KernelRun) -> Iterator[dict[str, Any]]:
    """The records of a log (`stream_name`, `time` in seconds, `data`), from its beginning, as they come."""
    with refusals_as_errors(f"read the log of {run.ref} {run.label}"), connect().build_kaggle_client() as kaggle:
        http = kaggle.http_client()
        http._init_session()
        # the one route that the client keeps to itself, and only without a version
        base = http._endpoint if http._endpoint.startswith("https://api.") else f"{http._endpoint}/api"
        answer = http._session.get(
            f"{base}/v1/kernels/logs/stream/{run.ref}",
            params={"versionLabel": run.label},
            headers={"Accept": "text/event-stream, */*"},
            stream=True,
            timeout=READ_TIMEOUT_S,
        )
        answer.raise_for_status()
        with answer:
            if answer.headers.get("Content-Type", "").startswith("text/event-stream"):
                yield from _events(answer.iter_lines(decode_unicode=True))
            else:
                yield from parse_log(answer.text)


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line and line.startswith("data:"):
            payload = line.removeprefix("data:").strip()
            if payload == END_OF_LOG:
                return
            yield from parse_log(payload)


def parse_log(text: str) -> list[dict[str, Any]]:
    """Records out of a log: Kaggle's JSON array, one JSON record, JSON lines, or plain text."""
    try:
        value = json.loads(text)
    except ValueError:
        lines = text.splitlines()
        if len(lines) > 1:
            return [record for line in lines for record in parse_log(line)]
        return [{"data": text + "\n"}] if text else []
    records = value if isinstance(value, list) else [value]
    return [record if isinstance(record, dict) else {"data": f"{record}\n"} for record in records]
