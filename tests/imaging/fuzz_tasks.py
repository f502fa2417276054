"""What the fuzzing runs in a worker: the chain without dicomsdl, whose process of its own would take all the time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rsna.config import ImagingSpec
from rsna.imaging import CHAINS, load_image

SPEC = ImagingSpec(height=32, width=16)

for codec, names in CHAINS.items():
    CHAINS[codec] = tuple(name for name in names if name != "dicomsdl")


def load(path: Path) -> np.ndarray:
    """Load a picture."""
    return load_image(path, SPEC)
