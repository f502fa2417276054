"""The errors that end a command with one line: what is wrong, where, and what to do."""

from __future__ import annotations

from pathlib import Path

MAX_PATH = 1000  # characters of a path in an error; no honest one is longer


class RsnaError(Exception):
    """A failure of the outside world (disk, network, a peer program). Ends a command with exit status 1."""

    exit_status = 1


class InputError(RsnaError):
    """A wrong input of the user: a table, an option, a configuration. Ends a command with exit status 2."""

    exit_status = 2


class ImageError(InputError):
    """An image that cannot be used. Names the file and the reason; among many images it becomes a report line."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = str(path)
        cut = f"{self.path[: MAX_PATH // 2]}…{self.path[-MAX_PATH // 2 :]}"
        shown = self.path if len(self.path) <= MAX_PATH else cut
        super().__init__(f"{shown}: {reason}")
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return type(self), (self.path, self.reason)  # crosses process borders


class Unfinished(RsnaError):
    """Work that stopped by itself before its end, because its time was over, and left what is needed to go on."""
