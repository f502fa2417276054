"""From a DICOM file to the model's picture, in one process, against the ways that people do it today.

A: dicomsdl, full decode -> min-max -> resize -> 3-channel PNG on disk -> read back (the 1st place's CPU path).
B: pydicom with its VOI LUT -> min-max -> resize -> PNG on disk -> read back (the 6th place's path).

    python benchmarks/imaging.py [--quick] [--json FILE]
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import dicomsdl
import imagecodecs
import numpy as np
import pydicom
from harness import Row, against, interleaved, options, report
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_voi_lut
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1

from rsna.config import ImagingSpec
from rsna.imaging import load_image

SIZES = ((2294, 1914), (3328, 2560), (4096, 3328), (4740, 3540), (5928, 4728))
TARGETS = ((1024, 512), (2048, 1024))
BITS = 12


def phantom(rows: int, columns: int) -> np.ndarray:
    """A breast-like half ellipse with 1/f texture and signal-dependent noise, air at 0; (rows, columns) uint16."""
    draw = np.random.default_rng(rows)
    texture = sum(
        cv2.resize(draw.standard_normal((rows // s + 2, columns // s + 2)).astype(np.float32), (columns, rows)) * s**0.5
        for s in (1, 4, 16, 64)
    )
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    breast = ((y / rows - 0.5) / 0.42) ** 2 + (x / columns / 0.6) ** 2 < 1
    values = np.where(breast, 1800 + 60 * texture, 0)
    return np.clip(values, 0, 2**BITS - 1).astype(np.uint16)


def write_dicom(path: Path, pixels: np.ndarray, syntax: str) -> None:
    """Write a mammogram as the competition has them: 12 bits, MONOCHROME2, one window."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.3"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PixelRepresentation = 1, 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, BITS, BITS - 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.WindowCenter, ds.WindowWidth = "1800", "2600"
    if syntax == JPEG2000Lossless:
        stream = imagecodecs.jpeg2k_encode(pixels, reversible=True, level=0, bitspersample=BITS, codecformat="jp2")
    else:
        stream = imagecodecs.jpeg_encode(pixels, lossless=True, predictor=1, bitspersample=BITS)
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path, enforce_file_format=True)


def through_png(pixels: np.ndarray, height: int, width: int, folder: Path, channels: int) -> np.ndarray:
    """Resize, write a PNG and read it back."""
    small = cv2.resize(pixels, (width, height))
    path = str(folder / "picture.png")
    cv2.imwrite(path, cv2.merge([small] * channels))
    return cv2.imread(path, cv2.IMREAD_UNCHANGED)


def way_a(path: Path, height: int, width: int, folder: Path) -> np.ndarray:
    """The 1st place's CPU path, without its detector."""
    scan = dicomsdl.open(str(path))
    info = scan.getPixelDataInfo()
    pixels = np.empty((info["Rows"], info["Cols"]), np.uint16)
    scan.copyFrameData(0, pixels)
    values = pixels.astype(np.float32)
    values = (values - values.min()) / (values.max() - values.min()) * 255
    mask = cv2.resize(values, (416, 416)) > 8
    box = cv2.boundingRect(mask.astype(np.uint8))
    scale_y, scale_x = pixels.shape[0] / 416, pixels.shape[1] / 416
    crop = pixels[
        int(box[1] * scale_y) : int((box[1] + box[3]) * scale_y),
        int(box[0] * scale_x) : int((box[0] + box[2]) * scale_x),
    ]
    shown = np.clip((crop.astype(np.float32) - 500) / 2600 * 255, 0, 255).astype(np.uint8)
    return through_png(shown, height, width, folder, 3)


def way_b(path: Path, height: int, width: int, folder: Path) -> np.ndarray:
    """The 6th place's path."""
    ds = pydicom.dcmread(path)
    values = apply_voi_lut(ds.pixel_array, ds)
    values = (values - values.min()) / (values.max() - values.min())
    return through_png((values * 255).astype(np.uint8), height, width, folder, 1)


def ours(path: Path, height: int, width: int, _: Path) -> np.ndarray:
    """What `rsna prepare` and `rsna predict` call; no file in between."""
    return load_image(path, ImagingSpec(height, width))


WAYS: dict[str, Callable[[Path, int, int, Path], np.ndarray]] = {"A": way_a, "B": way_b, "rsna": ours}


def main() -> None:
    """Measure every syntax and target over the sizes, and print milliseconds per image with the ratio to A."""
    chosen = options(__doc__ or "")
    sizes = SIZES[:2] if chosen.quick else SIZES
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for codec, syntax in (("j2k", JPEG2000Lossless), ("sv1", JPEGLosslessSV1)):
            paths = [folder / f"{codec}-{size[0]}.dcm" for size in sizes]
            for path, size in zip(paths, sizes, strict=True):
                write_dicom(path, phantom(*size), syntax)
            for height, width in TARGETS[:1] if chosen.quick else TARGETS:
                ways = {
                    way: lambda run=run, h=height, w=width, files=paths: [run(path, h, w, folder) for path in files]
                    for way, run in WAYS.items()
                }
                seconds = {way: s / len(paths) for way, s in interleaved(ways, 2 if chosen.quick else 5).items()}
                rows += against(seconds, "A", f"{codec} {height}x{width} ")
    report(rows, chosen.json)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
