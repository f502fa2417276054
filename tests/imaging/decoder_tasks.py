"""Decoders that take their process with them, put in front of the lossless JPEG chain of a worker."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from rsna.config import ImagingSpec
from rsna.imaging import CHAINS, load_image
from rsna.imaging.container import DicomFile
from rsna.imaging.decoders import DECODERS
from rsna.imaging.stream import Codec

SPEC = ImagingSpec(height=96, width=48)
SOUND = CHAINS[Codec.JPEG_LOSSLESS][0]


def crash(_: DicomFile) -> np.ndarray:
    """A decoder that aborts."""
    os.abort()


def hang(_: DicomFile) -> np.ndarray:
    """A decoder that does not end."""
    time.sleep(600)
    raise AssertionError


def greedy(_: DicomFile) -> np.ndarray:
    """A decoder that asks for more memory than there may be."""
    return np.ones(2**33, np.uint8)


BAD = {"crash": crash, "hang": hang, "greedy": greedy}


def load(task: tuple[Path, tuple[str, ...]]) -> np.ndarray:
    """Load a picture through a chain of these decoders, by name."""
    path, chain = task
    DECODERS.update(BAD)
    CHAINS[Codec.JPEG_LOSSLESS] = chain
    return load_image(path, SPEC)
