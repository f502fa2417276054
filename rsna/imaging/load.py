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
from rsna.errors import InputError, RsnaError
from rsna.imaging.codestream import resolution_levels
from rsna.imaging.container import DicomFile, parse_dicom, read_content
from rsna.imaging.decoders import decode, decode_smaller
from rsna.imaging.detector import RegionFinder, make_thumbnail
from rsna.imaging.dicom import DicomImage, decode_content
from rsna.imaging.geometry import Box, Region, crop, pad, shrink
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
        detected: Whether the box is a detector's.
    """

    image: DicomImage
    box: Box
    picture: np.ndarray
    level: int = 0
    planes: int = 0
    detected: bool = False


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


def load_image(
    path: str | Path, spec: ImagingSpec, box: Box | Region | None = None, finder: RegionFinder | None = None
) -> np.ndarray:
    """Read, crop, resize and show an image.

    Args:
        path: A DICOM file, or a grey PNG, which is taken as shown already.
        spec: How.
        box: What to keep, in the full frame's pixels, or as a region to which `spec.roi.margin` is added.
        finder: A detector that finds it where it is not given. Where there is none, or its box cannot be trusted,
            `spec.roi` finds it.

    Returns:
        (spec.height, spec.width) uint8 or uint16, black at 0. The same arguments give the same picture.

    Raises:
        ImageError: Naming the file and why it cannot be used.
    """
    return load_steps(path, spec, box, finder).picture


def load_steps(
    path: str | Path, spec: ImagingSpec, box: Box | Region | None = None, finder: RegionFinder | None = None
) -> LoadedImage:
    """The same as `load_image`, with what lies between."""
    with naming(path):
        source = _open(path)
        if isinstance(source, DicomFile):
            return _from_levels(source, spec, box, finder)
        return _from_frame(source, spec, box, finder)


def load_thumbnail(path: str | Path) -> np.ndarray:
    """What a detector sees of a file, see `make_thumbnail`; raises `ImageError` where the file cannot be used."""
    with naming(path):
        source = _open(path)
        pixels = _overview(source)[0] if isinstance(source, DicomFile) else source.pixels
        return make_thumbnail(pixels, source.header)


def _open(path: str | Path) -> DicomImage | DicomFile:
    """The image; or the file itself, where it is a JPEG 2000 stream that need not be decoded in full."""
    content = read_content(path)
    if content.startswith(PNG_START):
        return _png_image(content)
    file = parse_dicom(content)
    if file.stream.codec == Codec.JPEG_2000 and thumbnail_level(file.header.shape) and resolution_levels(file.frame):
        return file
    return _decoded(file)


def _decoded(file: DicomFile) -> DicomImage:
    pixels, decoder = decode(file)
    return DicomImage(pixels, file.header, decoder)


def _overview(file: DicomFile) -> tuple[np.ndarray, str, int]:
    """A JPEG 2000 picture as small as it is enough to find a region: see `decode_smaller`."""
    return decode_smaller(file, min(resolution_levels(file.frame), thumbnail_level(file.header.shape)))


def _choose_box(
    pixels: np.ndarray, header: Header, spec: ImagingSpec, box: Box | Region | None, finder: RegionFinder | None
) -> tuple[Box, bool]:
    """What to keep of a frame, or of one that `pixels` are a thumbnail of; and whether a detector has found it."""
    detected = False
    if box is None and finder is not None:
        box = finder.find(make_thumbnail(pixels, header), spec.roi.min_area)
        detected = box is not None
    if box is None:
        box = find_region(pixels, spec.roi, header.inverted, header.shape)
    if isinstance(box, Region):
        box = box.box(*header.shape).expand(spec.roi.margin)
    return box.clip(header.shape), detected


def _from_frame(
    image: DicomImage, spec: ImagingSpec, given: Box | Region | None, finder: RegionFinder | None
) -> LoadedImage:
    """The picture of a frame that is decoded in full."""
    frame, header = image.pixels, image.header
    box, detected = _choose_box(frame, header, spec, given, finder)
    picture = _show(crop(frame, box), target_size(box, spec), header, spec)
    return LoadedImage(image, box, picture, detected=detected)


def _from_levels(
    file: DicomFile, spec: ImagingSpec, given: Box | Region | None, finder: RegionFinder | None
) -> LoadedImage:
    """The picture of a JPEG 2000 stream, which is decoded twice: as a thumbnail, and as finely as it is needed."""
    header, shape, levels = file.header, file.header.shape, resolution_levels(file.frame)
    pixels, decoder, level = _overview(file)
    image = DicomImage(pixels, header, decoder)
    box, detected = _choose_box(pixels, header, spec, given, finder)
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
    return LoadedImage(image, box, picture, level, planes, detected)


def _show(region: np.ndarray, size: tuple[int, int], header: Header, spec: ImagingSpec) -> np.ndarray:
    return pad(render(shrink(region, *size), header, spec.voi, spec.bits), spec.height, spec.width)


def decode_images(
    paths: Iterable[Path], spec: ImagingSpec, workers: int = -1, finder: RegionFinder | None = None
) -> Iterator[Outcome[Path]]:
    """Load images in worker processes, in order; an unusable one is an outcome with an error.

    Args:
        paths: May be a generator; it is pulled as the work goes on.
        spec: How.
        workers: Processes; -1 for one per core.
        finder: Of the regions, see `load_image`.
    """
    function = partial(load_image, spec=spec, finder=finder)
    with DecodePool(function, workers, time_limit=TIME_LIMIT, memory_limit=MEMORY_LIMIT) as pool:
        yield from pool.map(paths)


def check_finder(finder: RegionFinder) -> None:
    """Try out a detector in a worker process: what nobody has tried may crash, hang or eat memory.

    Raises:
        InputError: Where it cannot be used here: the file is another one or no detector, or ONNX Runtime is missing.
    """
    with DecodePool(RegionFinder.try_out, 1, time_limit=TIME_LIMIT, memory_limit=MEMORY_LIMIT) as pool:
        try:
            (outcome,) = pool.map([finder])
        except RsnaError as error:
            raise InputError(f"the detector cannot be used: {error}") from error
    if outcome.error is not None:
        raise InputError(f"the detector {finder.path} cannot be used: {outcome.error}")
