"""Seeds that depend on nothing but their arguments, and the number of threads: what a result depends on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(*parts: int) -> int:
    """A seed of 63 bits from numbers such as (seed, fold, epoch)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0]) >> 1


def seed_everything(*parts: int) -> None:
    """Seed torch (all devices), numpy and `random`, which dropout and third parties draw from."""
    seed = derive_seed(*parts)
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Let torch compute with `count` threads inside the block, or with its own choice for 0.

    Sums are taken in another order with another number of threads, so results differ in the last bits.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
