"""From a DICOM file to the model's picture, in one process, against the ways that people do it today.

A: dicomsdl, full decode -> min-max -> window and region -> resize -> 3-channel PNG on disk -> read back (the 1st
   place's CPU path).
B: pydicom with its VOI LUT -> min-max -> region -> resize -> PNG on disk -> read back (the 6th place's path).

`rsna full` is `rsna` without the reduced decoding. The last row of a target says how far both are apart.

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

SIZES = {(2294, 1914): 14, (3328, 2560): 12, (4096, 3328): 12, (4740, 3540): 14, (5928, 4728): 12}  # bits
INVERTED_BITS = 14
TARGETS = ((1024, 512), (2048, 1024))


def phantom(rows: int, columns: int, bits: int) -> np.ndarray:
    """A breast-like half ellipse with 1/f texture, noise and calcifications, air at 0; (rows, columns) uint16.

    Its streams have the 2.7 to 3.6 bits a pixel of real mammograms.
    """
    draw, top = np.random.default_rng(rows), 2.0**bits - 1
    texture = np.zeros((rows, columns), np.float32)
    for s in (1, 4, 16, 64, 256):
        coarse = draw.standard_normal((rows // s + 2, columns // s + 2)).astype(np.float32)
        texture += cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC) * s**0.6
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    depth = 1 - ((y / rows - 0.5) / 0.42) ** 2 - (x / columns / 0.58) ** 2
    values = top * (0.25 + 0.35 * np.sqrt(depth.clip(0)) + 0.003 * texture)
    spot = np.exp(-np.square(np.mgrid[-8:9, -8:9]).sum(axis=0) / 5.0)
    for _ in range(50):
        i, j = draw.integers(rows // 4, 3 * rows // 4), draw.integers(20, columns // 3)
        values[i - 8 : i + 9, j - 8 : j + 9] += 0.1 * top * spot
    return np.where(depth > 0, values, 0).clip(0, top).astype(np.uint16)


def write_dicom(path: Path, pixels: np.ndarray, bits: int, syntax: str) -> None:
    """Write a mammogram as the competition has them: one window over two thirds of the range, 14 bits inverted."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.3"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PixelRepresentation = 1, 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits, bits - 1
    ds.PhotometricInterpretation = "MONOCHROME1" if bits == INVERTED_BITS else "MONOCHROME2"
    pixels = 2**bits - 1 - pixels if bits == INVERTED_BITS else pixels
    ds.WindowCenter, ds.WindowWidth = str(2 ** (bits - 1)), str(2**bits * 2 // 3)
    if syntax == JPEG2000Lossless:
        stream = imagecodecs.jpeg2k_encode(pixels, reversible=True, level=0, bitspersample=bits, codecformat="jp2")
    else:
        stream = imagecodecs.jpeg_encode(pixels, lossless=True, predictor=1, bitspersample=bits)
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path, enforce_file_format=True)


def through_png(pixels: np.ndarray, height: int, width: int, folder: Path, channels: int) -> np.ndarray:
    """Resize, write a PNG and read it back."""
    small = cv2.resize(pixels, (width, height))
    path = str(folder / "picture.png")
    cv2.imwrite(path, cv2.merge([small] * channels))
    return cv2.imread(path, cv2.IMREAD_UNCHANGED)


def region(values: np.ndarray) -> tuple[slice, slice]:
    """The breast's box, on a view of 416 x 416 grey levels."""
    mask = cv2.resize(values, (416, 416)) > 8
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    y, x = values.shape[0] / 416, values.shape[1] / 416
    return slice(int(top * y), int((top + height) * y)), slice(int(left * x), int((left + width) * x))


def way_a(path: Path, height: int, width: int, folder: Path) -> np.ndarray:
    """The 1st place's CPU path without its detector: signed 16 bits, a view of 8 bits, the window on the crop."""
    scan = dicomsdl.open(str(path))
    pixels = scan.pixelData(storedvalue=True).astype(np.int16)
    inverted = scan.PhotometricInterpretation == "MONOCHROME1"
    values = pixels.astype(np.float32)
    view = (values - values.min()) / (values.max() - values.min()) * 255
    view = (255 - view if inverted else view).astype(np.uint8)
    if scan.WindowCenter is None:  # from the least to the greatest
        center, span = (values.min() + values.max() + 1) / 2, values.max() - values.min() + 1
    else:  # of several the first
        center, span = (float(np.ravel(window)[0]) for window in (scan.WindowCenter, scan.WindowWidth))
    shown = ((values[region(view)] - (center - 0.5)) / (span - 1) + 0.5).clip(0, 1) * 255
    return through_png((255 - shown if inverted else shown).astype(np.uint8), height, width, folder, 3)


def way_b(path: Path, height: int, width: int, folder: Path) -> np.ndarray:
    """The 6th place's path."""
    ds = pydicom.dcmread(path)
    values = apply_voi_lut(ds.pixel_array, ds)
    values = (values - values.min()) / (values.max() - values.min())
    values = ((1 - values if ds.PhotometricInterpretation == "MONOCHROME1" else values) * 255).astype(np.uint8)
    return through_png(values[region(values)], height, width, folder, 1)


def ours(path: Path, height: int, width: int, _: Path) -> np.ndarray:
    """What `rsna prepare` and `rsna predict` call; no file in between."""
    return load_image(path, ImagingSpec(height, width))


def full(path: Path, height: int, width: int, _: Path) -> np.ndarray:
    """The same, decoding everything."""
    return load_image(path, ImagingSpec(height, width, decode="full"))


def difference(path: Path, height: int, width: int, folder: Path) -> float:
    """Mean difference of the reduced and the full decoding in the breast, grey levels of 255."""
    one, other = ours(path, height, width, folder), full(path, height, width, folder)
    return float(cv2.absdiff(one, other)[other > 0].mean())


WAYS: dict[str, Callable[[Path, int, int, Path], np.ndarray]] = {"A": way_a, "B": way_b, "rsna": ours}
J2K_WAYS = WAYS | {"rsna full": full}


def main() -> None:
    """Measure every syntax and target over the sizes, and print milliseconds per image with the ratio to A."""
    chosen = options(__doc__ or "")
    sizes = dict(list(SIZES.items())[1:2]) if chosen.quick else SIZES
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for codec, syntax in (("j2k", JPEG2000Lossless), ("sv1", JPEGLosslessSV1)):
            paths = [folder / f"{codec}-{size[0]}.dcm" for size in sizes]
            for path, (size, bits) in zip(paths, sizes.items(), strict=True):
                write_dicom(path, phantom(*size, bits), bits, syntax)
            for height, width in TARGETS:
                ways = {
                    way: lambda run=run, h=height, w=width, files=paths: [run(path, h, w, folder) for path in files]
                    for way, run in (J2K_WAYS if codec == "j2k" else WAYS).items()
                }
                ways["rsna"]()  # numba compiles at the first call
                seconds = {way: s / len(paths) for way, s in interleaved(ways, 2 if chosen.quick else 5).items()}
                rows += against(seconds, "A", f"{codec} {height}x{width} ")
                if codec == "j2k":
                    worst = max(difference(path, height, width, folder) for path in paths)
                    rows.append(Row(f"j2k {height}x{width} worst mean difference", round(worst, 3), "grey", "full"))
    report(rows, chosen.json)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
