"""How a process that died is followed by one that takes less. Without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Lean:
    """One way of taking less memory.

    Attributes:
        text: In words.
        divide_workers: The decoding processes are so many times fewer, but at least one.
        divide_batch: A batch goes through the models in so many parts.
        cpu: Not on the GPU.
        careful: One image at a time, and only the first batch that is missing.
    """

    text: str
    divide_workers: int = 1
    divide_batch: int = 1
    cpu: bool = False
    careful: bool = False

    def workers(self, asked: int) -> int:
        """How many decoding processes."""
        return max(1, (asked if asked > 0 else core_count()) // self.divide_workers)


ONE = 10**6  # more than anybody has workers: one is left
LEVELS = (
    Lean("as asked"),
    Lean("half the decoding processes", 2),
    Lean("one decoding process", ONE),
    Lean("a quarter of the batch at a time", ONE, 4),
    Lean("on the CPU", ONE, 4, cpu=True),
    Lean("one image at a time", ONE, 4, cpu=True, careful=True),
)
EXACT = 2  # up to this level predictions are the same, bit by bit
CAREFUL = len(LEVELS) - 1


def core_count() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def leaner(level: int, device: str) -> int:
    """The level after this one; the CPU is no news where there is no GPU."""
    following = level + 1
    on_gpu = device != "cpu" and (device != "auto" or Path("/dev/nvidiactl").exists())
    return following + 1 if following < CAREFUL and LEVELS[following].cpu and not on_gpu else following
