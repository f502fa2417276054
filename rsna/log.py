"""Logging and progress bars. rich where it is installed (it is not part of the submit path), plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")

DATE_FORMAT = "%H:%M:%S"


def setup_logging(verbose: bool = False) -> None:
    """Send the package's log records to standard error, through rich on a terminal."""
    logger = logging.getLogger("rsna")
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.handlers = [_handler()]
    logger.propagate = False


def _handler() -> logging.Handler:
    if sys.stderr.isatty():
        try:
            from rich.console import Console
            from rich.logging import RichHandler
        except ImportError:
            pass
        else:
            return RichHandler(console=Console(stderr=True), show_path=False, log_time_format=DATE_FORMAT)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", DATE_FORMAT))
    return handler


def progress(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yield the items under a progress bar on a terminal, and in silence elsewhere.

    Args:
        items: What to go through; may be a generator.
        label: What the bar says it is doing.
        total: How many items there are; taken from ``len(items)`` where it has one.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining
    except ImportError:
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), Remaining())
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield from bars.track(items, total=total, description=label)
