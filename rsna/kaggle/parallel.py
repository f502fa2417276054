"""Many small calls to Kaggle, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rsna.kaggle.client import connect

T = TypeVar("T")
R = TypeVar("R")

WORKERS = 8


def in_parallel(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield the results in the order of the items. After the first error, what has not begun does not begin."""
    connect()  # here, since it silences what the client prints, for the whole process
    pool = ThreadPoolExecutor(WORKERS)
    try:
        yield from pool.map(function, items)
    finally:
        pool.shutdown(cancel_futures=True)
