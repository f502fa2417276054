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
from rsna.imaging.codestream import resolution_levels
from rsna.imaging.container import DicomFile, parse_dicom, read_content
from rsna.imaging.decoders import decode, decode_smaller
from rsna.imaging.dicom import DicomImage, decode_content
from rsna.imaging.geometry import Box, crop, pad, shrink
from rsna.imaging.header import Header, Window
from rsna.imaging.plan import choose_level, crop_level, spare_planes, target_size
from rsna.imaging.png import PNG_START, decode_png
from rsna.imaging.pool import DecodePool, Outcome
from rsna.imaging.reasons import naming
from rsna.imaging.region import find_region, thumbnail_level
from rsna.imaging.stream import Codec
from rsna.imaging.voi import has_voi, render

TIME_LIMIT = 60.0  # seconds an image
MEMORY_LIMIT = 4 * 2**30  # bytes a worker, on top of what it has loaded: the largest image takes a few hundred MB


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """Every step between a file and its picture.

    Attributes:
        image: The frame; where it was not decoded in full, a thumbnail of it.
        box: The region that was kept, in the full frame's pixels.
        picture: (height, width) uint8 or uint16.
        level: How often the picture was halved as it was decoded.
        planes: How many bit planes were left out of its finest details.
    """

    image: DicomImage
    box: Box
    picture: np.ndarray
    level: int = 0
    planes: int = 0


def read_image(path: str | Path) -> DicomImage:
    """Read a DICOM file as `read_dicom` does, or a grey PNG, whose header says that it is shown already.

    Raises:
        ImageError: Naming the file and why it cannot be used.
    """
    with naming(path):
        content = read_content(path)
        return _png_image(content) if content.startswith(PNG_START) else decode_content(content)


def _png_image(content: bytes) -> DicomImage:
    pixels = decode_png(content)
    rows, columns = pixels.shape
    bits, top = 8 * pixels.dtype.itemsize, float(np.iinfo(pixels.dtype).max)
    shown = Window(top / 2, top)  # with LINEAR_EXACT: 0 .. top to black .. white
    header = Header(rows, columns, bits, bits, windows=(shown,), voi_function="LINEAR_EXACT")
    return DicomImage(pixels, header, "opencv")


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
        content = read_content(path)
        if content.startswith(PNG_START):
            return _from_frame(_png_image(content), spec, box)
        file = parse_dicom(content)
        levels = resolution_levels(file.frame) if file.stream.codec == Codec.JPEG_2000 else 0
        if not levels or not thumbnail_level(file.header.shape):
            return _from_frame(_decoded(file), spec, box)
        return _from_levels(file, levels, spec, box)


def _decoded(file: DicomFile) -> DicomImage:
    pixels, decoder = decode(file)
    return DicomImage(pixels, file.header, decoder)


def _from_frame(image: DicomImage, spec: ImagingSpec, box: Box | None) -> LoadedImage:
    """The picture of a frame that is decoded in full."""
    frame, header = image.pixels, image.header
    box = find_region(frame, spec.roi, header.inverted) if box is None else box.clip(frame.shape)
    return LoadedImage(image, box, _show(crop(frame, box), target_size(box, spec), header, spec))


def _from_levels(file: DicomFile, levels: int, spec: ImagingSpec, box: Box | None) -> LoadedImage:
    """The picture of a JPEG 2000 stream, which is decoded twice: as a thumbnail, and as finely as it is needed."""
    header, shape = file.header, file.header.shape
    pixels, decoder, level = decode_smaller(file, min(levels, thumbnail_level(shape)))
    image = DicomImage(pixels, header, decoder)
    box = find_region(pixels, spec.roi, header.inverted, shape) if box is None else box.clip(shape)
    wanted, box = choose_level(box, shape, spec, levels)
    if not has_voi(header, spec.voi):
        wanted = max(0, wanted - 1)  # min and max decide on every grey level, and coarse samples miss them
    size, planes = target_size(box, spec), 0
    if spec.decode == "full":
        pixels, decoder = (pixels, decoder) if level == 0 else decode(file)
        image, level = DicomImage(pixels, header, decoder), 0
    elif level != wanted:
        planes = spare_planes(pixels, header, spec.voi, (box.height >> wanted) / size[0])
        pixels, _, level = decode_smaller(file, wanted, planes)
    picture = _show(crop_level(pixels, box, level), size, header, spec)
    return LoadedImage(image, box, picture, level, planes)


def _show(region: np.ndarray, size: tuple[int, int], header: Header, spec: ImagingSpec) -> np.ndarray:
    return pad(render(shrink(region, *size), header, spec.voi, spec.bits), spec.height, spec.width)


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
