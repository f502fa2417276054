"""What the pool's tests run in its workers."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsna.errors import ImageError, RsnaError


def refuse(reason: str) -> None:
    """An unusable image."""
    raise ImageError("a.dcm", reason)


def fill_the_disk(reason: str) -> None:
    """A failure that is no fault of the image."""
    raise RsnaError(reason)


BEHAVIOUR: dict[str, Callable[[Any], Any]] = {
    "double": lambda value: 2 * value,
    "array": lambda side: np.full((side, side), 7, np.uint16),
    "abort": lambda _: os.abort(),
    "segfault": lambda _: ctypes.string_at(0),
    "exit": os._exit,
    "sleep": time.sleep,
    "allocate": lambda size: len(np.ones(size, np.uint8)),
    "refuse": refuse,
    "disk full": fill_the_disk,
    "bug": lambda key: {}[key],
    "print": print,
    "pid": lambda _: os.getpid(),
}


def misbehave(task: tuple[str, Any]) -> Any:
    """Do what the task says."""
    kind, value = task
    return BEHAVIOUR[kind](value)


def environment(_: object) -> dict[str, Any]:
    """What a worker has loaded."""
    return {
        "modules": sorted(sys.modules),
        "pid": os.getpid(),
        "threads": cv2.getNumThreads(),
        "main": Path(sys.modules["__main__"].__file__ or "").name,
    }
