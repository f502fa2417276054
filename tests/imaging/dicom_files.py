"""DICOM files for the tests, small and made from arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder
from pydicom.sequence import Sequence
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, RLELossless

SYNTAXES = {
    "raw": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg": "1.2.840.10008.1.2.4.50",
    "jpeg12": "1.2.840.10008.1.2.4.51",
    "sv1": "1.2.840.10008.1.2.4.70",
    "jpegls": "1.2.840.10008.1.2.4.80",
    "j2k": "1.2.840.10008.1.2.4.90",
    "jp2": "1.2.840.10008.1.2.4.90",
}
LOSSLESS = ("raw", "implicit", "rle", "sv1", "jpegls", "j2k", "jp2")
ENCAPSULATED = tuple(name for name in SYNTAXES if name not in ("raw", "implicit"))


def breast(height: int = 192, width: int = 160, top: int = 3000, seed: int = 0) -> np.ndarray:
    """A bright half-ellipse with texture on black, (height, width) uint16 below `top`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    inside = (x / (0.6 * width)) ** 2 + ((y - height / 2) / (0.4 * height)) ** 2 < 1
    tissue = top * (0.6 + 0.1 * np.sin(x / 9) * np.cos(y / 7)) + rng.normal(0, top / 60, (height, width))
    return np.where(inside, tissue, 0).clip(0, top).astype(np.uint16)


def encode(pixels: np.ndarray, codec: str, bits: int) -> bytes:
    """One encoded frame."""
    match codec:
        case "j2k" | "jp2":
            return bytes(
                imagecodecs.jpeg2k_encode(pixels, level=0, codecformat=codec, reversible=True, bitspersample=bits)
            )
        case "sv1":
            return bytes(imagecodecs.jpeg_encode(pixels, lossless=True, predictor=1, bitspersample=bits))
        case "jpeg" | "jpeg12":
            return bytes(imagecodecs.jpeg_encode(pixels, level=90, bitspersample=bits))
        case "jpegls":
            return bytes(imagecodecs.jpegls_encode(pixels))
        case "rle":
            rows, columns = pixels.shape
            return get_encoder(RLELossless).encode(
                pixels.tobytes(),
                encoding_plugin="pydicom",
                rows=rows,
                columns=columns,
                samples_per_pixel=1,
                bits_allocated=8 * pixels.dtype.itemsize,
                bits_stored=8 * pixels.dtype.itemsize,
                pixel_representation=0,
                number_of_frames=1,
                photometric_interpretation="MONOCHROME2",
            )
        case _:
            raise ValueError(codec)


def write_dicom(
    path: Path,
    pixels: np.ndarray,
    codec: str = "raw",
    bits: int | None = None,
    frame: bytes | None = None,
    preamble: bool = True,
    **attributes: Any,
) -> Path:
    """Write a file; `frame` replaces the encoded frame, and `attributes` whatever the header says (None: left out)."""
    allocated = 8 * pixels.dtype.itemsize
    bits = bits or allocated
    dataset = Dataset()
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    if codec in ENCAPSULATED:
        dataset.PixelData = encapsulate([encode(pixels, codec, bits) if frame is None else frame])
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"
    else:
        dataset.PixelData = pixels.tobytes() if frame is None else frame
        dataset["PixelData"].VR = "OW"
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = SYNTAXES[codec]
    dataset.save_as(path, enforce_file_format=True)
    if not preamble:
        path.write_bytes(path.read_bytes()[132:])
    return path


def table(first: int, bits: int, values: np.ndarray) -> Sequence:
    """A modality or VOI LUT sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(values) % 2**16, first, bits])
    item.add_new("LUTData", "US", values.tolist())
    return Sequence([item])
