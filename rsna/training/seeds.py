"""Seeds that depend on nothing but their arguments: a resumed run draws what the uninterrupted one would have drawn."""

from __future__ import annotations

import random

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
