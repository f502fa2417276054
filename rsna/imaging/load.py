"""The one function that turns a file into a picture: preparation, training and submission all call it.

The order is: decode, find the region, crop, resize, then modality, VOI and inversion, then pad. Shown values are
computed last, on the few pixels that are left; nothing is computed on the full frame that the model never sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from rsna.config import ImagingSpec
from rsna.imaging.container import read_content
from rsna.imaging.dicom import DicomImage, decode_content
from rsna.imaging.geometry import Box, crop, fitted_size, pad, resize
from rsna.imaging.header import Header, Window
from rsna.imaging.png import PNG_START, decode_png
from rsna.imaging.pool import DecodePool, Outcome
from rsna.imaging.reasons import naming
from rsna.imaging.region import find_region
from rsna.imaging.voi import render

TIME_LIMIT = 60.0  # seconds an image
MEMORY_LIMIT = 4 * 2**30  # bytes a worker, on top of what it has loaded: the largest image takes a few hundred MB


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """Every step between a file and its picture.

    Attributes:
        image: As decoded.
        box: The region that was kept.
        picture: (height, width) uint8 or uint16.
    """

    image: DicomImage
    box: Box
    picture: np.ndarray


def read_image(path: str | Path) -> DicomImage:
    """Read a DICOM file as `read_dicom` does, or a grey PNG, whose header says that it is shown already.

    Raises:
        ImageError: Naming the file and why it cannot be used.
    """
    with naming(path):
        content = read_content(path)
        if not content.startswith(PNG_START):
            return decode_content(content)
        pixels = decode_png(content)
    rows, columns = pixels.shape
    bits, top = 8 * pixels.dtype.itemsize, float(np.iinfo(pixels.dtype).max)
    shown = Window(top / 2, top)  # with LINEAR_EXACT: 0 .. top to black .. white
    return DicomImage(
        pixels, Header(rows, columns, bits, bits, windows=(shown,), voi_function="LINEAR_EXACT"), "opencv"
    )


def load_image(path: str | Path, spec: ImagingSpec, box: Box | None = None) -> np.ndarray:
    """Read, crop, resize and show an image.

    Args:
        path: A DICOM file, or a grey PNG, which is taken as shown already.
        spec: How.
        box: The region to keep, in the full frame's pixels; found by `spec.roi` where it is not given.

    Returns:
        (spec.height, spec.width) uint8 or uint16, black at 0. The same file and spec give the same picture.

    Raises:
        ImageError: Naming the file and why it cannot be used.
    """
    return load_steps(path, spec, box).picture


def load_steps(path: str | Path, spec: ImagingSpec, box: Box | None = None) -> LoadedImage:
    """The same as `load_image`, with what lies between."""
    with naming(path):
        image = read_image(path)
        frame, header = image.pixels, image.header
        box = find_region(frame, spec.roi, header.inverted) if box is None else box.clip(frame.shape)
        size = fitted_size((box.height, box.width), spec.height, spec.width) if spec.keep_aspect else None
        region = resize(crop(frame, box), *(size or (spec.height, spec.width)))
        picture = render(region, header, spec.voi, spec.bits)
        return LoadedImage(image, box, pad(picture, spec.height, spec.width))


def decode_images(paths: Iterable[Path], spec: ImagingSpec, workers: int = -1) -> Iterator[Outcome[Path]]:
    """Load images in worker processes, in order; an unusable one is an outcome with an error.

    Args:
        paths: May be a generator; it is pulled as the work goes on.
        spec: How.
        workers: Processes; -1 for one per core.
    """
    function = partial(load_image, spec=spec)
    with DecodePool(function, workers, time_limit=TIME_LIMIT, memory_limit=MEMORY_LIMIT) as pool:
        yield from pool.map(paths)
