"""Regions by a detector: a small network that looks at a thumbnail, and whose box is taken where it can be trusted.

Everything that has to do with a detector's boxes calls these functions: `rsna detect`, preparation and submission. So
the same file gives the same box, whoever asks. Imports no torch: it runs inside the decoding workers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from rsna.config import DetectorFile
from rsna.errors import InputError, RsnaError
from rsna.imaging.geometry import Region, fitted_size, shrink
from rsna.imaging.header import Header
from rsna.imaging.voi import render
from rsna.io import sha256_file

SIZE = 416  # pixels of a thumbnail's longer side, and of the detectors' square input
FILL = 114  # grey, as YOLOX pads

Network = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(B, 416, 416) uint8 to boxes (B, P, 4) as left, top, right, bottom in pixels, and scores (B, P)."""


@dataclass(frozen=True)
class Detection:
    """The best box of an image: its region, and how much the detector trusts it, in [0, 1], of 6 decimals."""

    region: Region
    score: float


@dataclass(frozen=True)
class RegionDetector:
    """A network with a name.

    Attributes:
        path: Where it came from.
        digest: The SHA-256 of its file.
        network: The network.
    """

    path: Path
    digest: str
    network: Network

    def detect(self, thumbnails: list[np.ndarray]) -> list[Detection | None]:
        """The best box of each thumbnail (H, W) uint8; None where it has none.

        Its sides lie on whole pixels of the thumbnail: a processor that computes a little otherwise then finds the
        same region, with few exceptions.
        """
        if not thumbnails:
            return []
        boxes, scores = self.network(np.stack([letterbox(thumbnail) for thumbnail in thumbnails]))
        best = np.nan_to_num(scores, nan=-1.0).argmax(axis=1)
        return [
            _detection(boxes[i, k], float(scores[i, k]), thumbnail.shape)
            for i, (k, thumbnail) in enumerate(zip(best, thumbnails, strict=True))
        ]


@dataclass(frozen=True)
class RegionFinder:
    """A detector as it travels to the decoding workers, of which each opens it once.

    Attributes:
        path: An ONNX file.
        spec: What the file must be, and which boxes are trusted.
    """

    path: Path
    spec: DetectorFile

    @classmethod
    def of(cls, path: str | Path, score: float = DetectorFile.score) -> RegionFinder:
        """The detector in a file as it is now; raises `InputError` where there is none."""
        if not Path(path).is_file():
            raise InputError(f"there is no detector {path}; `rsna detect export RUN --out FILE` makes one of a run")
        return cls(Path(path), DetectorFile(sha256_file(path), score))

    def find(self, thumbnail: np.ndarray, min_area: float) -> Region | None:
        """The region of a thumbnail (H, W) uint8; None where the best box cannot be trusted.

        Raises:
            ValueError: Where the detector fails.
        """
        try:
            (found,) = _open(self.path, self.spec.sha256).detect([thumbnail])
        except RsnaError as error:  # of this image only: that the detector works at all is tried before, by `try_out`
            raise ValueError(str(error)) from error
        trusted = found is not None and found.score >= self.spec.score and found.region.area >= min_area
        return found.region if found is not None and trusted else None

    def try_out(self) -> None:
        """Open the detector and look at a black thumbnail; raises `RsnaError` where it does not work."""
        _open(self.path, self.spec.sha256).detect([np.zeros((SIZE, SIZE), np.uint8)])


@cache
def _open(path: Path, sha256: str) -> RegionDetector:
    from rsna.imaging.detector_onnx import load_onnx  # the runtime is needed by those only who have a detector

    return load_onnx(path, sha256)


def make_thumbnail(pixels: np.ndarray, header: Header) -> np.ndarray:
    """What a detector sees of a frame: all of it, air dark, stretched from its minimum to its maximum.

    Args:
        pixels: Stored values (H, W) of the frame, perhaps of a lower resolution.
        header: What the file says about them.

    Returns:
        (H, W) uint8; the longer side has 416 pixels.

    Raises:
        ValueError: All pixels are equal.
    """
    return render(shrink(pixels, *fitted_size(header.shape, SIZE, SIZE)), header, "minmax", 8)


def letterbox(thumbnail: np.ndarray) -> np.ndarray:
    """A thumbnail (H, W) uint8 in the upper left corner of a grey square (416, 416) uint8."""
    square = np.full((SIZE, SIZE), FILL, np.uint8)
    square[: thumbnail.shape[0], : thumbnail.shape[1]] = thumbnail
    return square


def to_region(box: np.ndarray, shape: tuple[int, ...]) -> Region | None:
    """The part of a thumbnail of (rows, columns) that a box (4,) in its pixels covers; None where it covers none."""
    limits = np.array([shape[1], shape[0], shape[1], shape[0]], np.float64)
    if not np.isfinite(box).all():
        return None
    xmin, ymin, xmax, ymax = (np.clip(box, 0, limits) / limits).tolist()
    return Region(xmin, ymin, xmax, ymax) if xmin < xmax and ymin < ymax else None


def to_pixels(region: Region, shape: tuple[int, int]) -> np.ndarray:
    """The box (4,) float32 of a region in the pixels of a thumbnail of (rows, columns)."""
    rows, columns = shape
    sides = (region.xmin * columns, region.ymin * rows, region.xmax * columns, region.ymax * rows)
    return np.array(sides, np.float32)


def _detection(box: np.ndarray, score: float, shape: tuple[int, ...]) -> Detection | None:
    region = to_region(np.round(box), shape)
    return Detection(region, round(min(score, 1.0), 6)) if region is not None and score > 0 else None
