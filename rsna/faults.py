"""Faults that a test switches on with `RSNA_FAULTS`, such as `RSNA_FAULTS=cuda-oom@3,slow@0.05`.

| fault | does |
| --- | --- |
| `cuda-oom@N` | the device is out of memory when planned batch N comes as a whole |
| `nan-half@N` | mixed precision gives no numbers for planned batch N |
| `child-kill@N` | the first process that comes to image N (row of the table, from 0) is killed |
| `poison@N` | every process that comes to image N is killed |
| `child-hang@N` | the first process that comes to image N stops doing anything |
| `start-kill@N` | the first N processes are killed before they have loaded anything |
| `slow@S` | each pass of a batch through a model takes S seconds more |
| `small-shm@1` | `/dev/shm` is small |
| `decode-abort@N` | the first decoder that is tried on the file N.dcm ends its process |
| `decode-hang@N` | the first decoder that is tried on the file N.dcm does not come back |
| `decode-memory@N` | the first decoder that is tried on the file N.dcm takes memory until there is no more |

Without the variable each question is one look into the environment.
"""

from __future__ import annotations

import os
import signal
import time
from functools import cache

from rsna.errors import InputError

VARIABLE = "RSNA_FAULTS"
NAMES = (
    *("cuda-oom", "nan-half", "child-kill", "poison", "child-hang", "start-kill", "slow", "small-shm"),
    *("decode-abort", "decode-hang", "decode-memory"),
)
PIECES, PIECE_BYTES = 4096, 2**28  # what is asked for goes beyond any address space limit


@cache
def _parse(text: str) -> dict[str, float]:
    faults = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("@")
        try:
            faults[name] = float(value)
        except ValueError as error:
            raise InputError(f"{VARIABLE}: {part!r} is not NAME@NUMBER") from error
        if name not in NAMES:
            raise InputError(f"{VARIABLE}: there is no fault {name!r}; known: {', '.join(NAMES)}")
    return faults


def value(name: str) -> float | None:
    """The number of a fault that is switched on; None where it is not."""
    text = os.environ.get(VARIABLE)
    return _parse(text).get(name) if text else None


def at(name: str, number: int) -> bool:
    """Whether a fault is switched on for this batch or image."""
    return value(name) == number


def strike(row: int, attempt: int) -> None:
    """Die or hang at an image, where that is switched on.

    Args:
        row: Of the image in the table.
        attempt: How many processes there were before this one.
    """
    if at("poison", row) or (attempt == 0 and at("child-kill", row)):
        os.kill(os.getpid(), signal.SIGKILL)
    while attempt == 0 and at("child-hang", row):
        time.sleep(1)


def strike_decoder(name: str) -> None:
    """Abort, hang or take memory while a file is decoded, where that is switched on.

    Args:
        name: Of the file, without its suffix; only those that are numbers are hit.
    """
    if not os.environ.get(VARIABLE) or not name.isdecimal():
        return
    number = int(name)
    if at("decode-abort", number):
        os.abort()
    while at("decode-hang", number):
        time.sleep(1)
    if at("decode-memory", number):
        held = [bytes(PIECE_BYTES) for _ in range(PIECES)]  # zeros that nobody touches: the limit is what counts
        raise MemoryError(f"{len(held)} pieces were given, nothing has stopped it")


def slow_down(passes: int) -> None:
    """Take more time for passes through a model, where that is switched on."""
    seconds = value("slow")
    if seconds:
        time.sleep(passes * seconds)
