"""Tiny DICOM files in every transfer syntax, and one decoder tried on them: the part of `rsna doctor` that may crash.

Run in processes of its own: `python -m rsna.workflows.doctor_samples make FOLDER` or `… try DECODER FOLDER`. Each line
of the output is a JSON array: the sample's name and why it failed, '' where it did not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from rsna.imaging.decoders import DECODERS
from rsna.imaging.stream import Codec

ROWS, COLUMNS = 64, 48
LOSSY_ERROR = 0.02  # of the range, on average


@dataclass(frozen=True)
class Sample:
    """One kind of file.

    Attributes:
        name: In words.
        syntax: Transfer syntax UID.
        codec: Whose chain of decoders reads it.
        bits: Stored.
        essential: Whether the competition's files are like this.
        lossy: Whether decoding gives back only something close.
    """

    name: str
    syntax: str
    codec: Codec
    bits: int = 12
    essential: bool = False
    lossy: bool = False


SAMPLES = (
    Sample("uncompressed", "1.2.840.10008.1.2.1", Codec.NATIVE, essential=True),
    Sample("implicit VR", "1.2.840.10008.1.2", Codec.NATIVE),
    Sample("RLE", "1.2.840.10008.1.2.5", Codec.RLE),
    Sample("JPEG", "1.2.840.10008.1.2.4.50", Codec.JPEG, bits=8, lossy=True),
    Sample("JPEG, 12 bits", "1.2.840.10008.1.2.4.51", Codec.JPEG_12_BIT, lossy=True),
    Sample("JPEG Lossless", "1.2.840.10008.1.2.4.57", Codec.JPEG_LOSSLESS),
    Sample("JPEG Lossless SV1", "1.2.840.10008.1.2.4.70", Codec.JPEG_LOSSLESS, essential=True),
    Sample("JPEG-LS", "1.2.840.10008.1.2.4.80", Codec.JPEG_LS),
    Sample("JPEG 2000 Lossless", "1.2.840.10008.1.2.4.90", Codec.JPEG_2000, essential=True),
    Sample("JPEG 2000", "1.2.840.10008.1.2.4.91", Codec.JPEG_2000, lossy=True),
)


def picture(bits: int) -> np.ndarray:
    """A smooth picture with a little texture, (ROWS, COLUMNS) uint8 or uint16, that uses all of `bits`."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    waves = (np.sin(x / 7) * np.cos(y / 9) + 1) / 2
    return np.round(waves * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def make(folder: Path) -> Iterator[tuple[str, str]]:
    """Write a file of each kind that this machine can encode."""
    for sample in SAMPLES:
        yield sample.name, _attempt(partial(_write, folder / f"{sample.syntax}.dcm", sample))


def try_decoder(decoder: str, folder: Path, samples: tuple[Sample, ...]) -> Iterator[tuple[str, str]]:
    """Decode the files with one decoder and compare them with what was encoded."""
    for sample in samples:
        path = folder / f"{sample.syntax}.dcm"
        if path.exists():
            yield sample.name, _attempt(partial(_compare, decoder, path, sample))


def _attempt(action: Callable[[], None]) -> str:
    try:
        action()
    except Exception as error:  # decoders and encoders raise nearly anything; a crash is noticed by the parent
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


def _compare(decoder: str, path: Path, sample: Sample) -> None:
    from rsna.imaging.container import parse_dicom

    pixels = DECODERS[decoder](parse_dicom(path.read_bytes()))
    wanted = picture(sample.bits)
    if pixels.shape != wanted.shape:
        raise ValueError(f"gives {pixels.shape}, not {wanted.shape}")
    error = float(np.abs(pixels.astype(np.float64) - wanted).mean()) / 2**sample.bits
    if error > (LOSSY_ERROR if sample.lossy else 0):
        raise ValueError(f"gives other pixels, {error:.1%} of the range off on average")


def _write(path: Path, sample: Sample) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    dataset, pixels = Dataset(), picture(sample.bits)
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.3.4"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = sample.bits, sample.bits - 1, 0
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    if sample.codec == Codec.NATIVE:
        dataset.PixelData = pixels.tobytes()
        dataset["PixelData"].VR = "OW"
    else:
        dataset.PixelData = encapsulate([_encode(pixels, sample)])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = sample.syntax
    dataset.save_as(path, enforce_file_format=True)


def _encode(pixels: np.ndarray, sample: Sample) -> bytes:
    import imagecodecs

    match sample.codec:
        case Codec.RLE:
            return _encode_rle(pixels)
        case Codec.JPEG | Codec.JPEG_12_BIT:
            return bytes(imagecodecs.jpeg_encode(pixels, level=95, bitspersample=sample.bits))
        case Codec.JPEG_LOSSLESS:
            predictor = 1 if sample.essential else 6
            return bytes(imagecodecs.jpeg_encode(pixels, lossless=True, predictor=predictor, bitspersample=sample.bits))
        case Codec.JPEG_LS:
            return bytes(imagecodecs.jpegls_encode(pixels))
        case _:
            level = 40 if sample.lossy else 0
            return bytes(
                imagecodecs.jpeg2k_encode(
                    pixels, level=level, codecformat="j2k", reversible=not sample.lossy, bitspersample=sample.bits
                )
            )


def _encode_rle(pixels: np.ndarray) -> bytes:
    from pydicom.pixels import get_encoder
    from pydicom.uid import RLELossless

    layout = {"rows": ROWS, "columns": COLUMNS, "samples_per_pixel": 1, "number_of_frames": 1}
    depth = {"bits_allocated": 16, "bits_stored": 16, "pixel_representation": 0}
    return get_encoder(RLELossless).encode(
        pixels.tobytes(), encoding_plugin="pydicom", photometric_interpretation="MONOCHROME2", **layout, **depth
    )


def main(arguments: list[str]) -> None:
    """Do what the arguments say, a line for each sample as soon as it is done: a crash leaves those before it."""
    what, folder = arguments[0], Path(arguments[-1])
    results = make(folder) if what == "make" else try_decoder(arguments[1], folder, SAMPLES)
    for result in results:
        print(json.dumps(result), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
