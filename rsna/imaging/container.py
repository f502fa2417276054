"""From a file to its header and its one encoded frame. Each file is read once, and nothing is decoded here."""

from __future__ import annotations

import io
import math
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsna.imaging.header import BIG_ENDIAN, Header, read_header
from rsna.imaging.stream import Codec, Stream, check_rle, inspect_stream

MAX_FILE_BYTES = 2**30  # a mammogram has at most 60 MB
PIXEL_DATA_TAG = b"\xe0\x7f\x10\x00"  # (7FE0,0010), little-endian
ITEM_TAG = b"\xfe\xff\x00\xe0"


@dataclass(frozen=True, eq=False)
class DicomFile:
    """A DICOM file that was read and checked, and waits to be decoded.

    Attributes:
        header: What the file says about its pixels.
        stream: What the encoded pixel data says about itself.
        frame: The encoded pixel data.
        content: The whole file.
        reduce: How many resolutions a decoder that can (Pillow) is to leave out; the header has the size that results.
    """

    header: Header
    stream: Stream
    frame: bytes
    content: bytes
    reduce: int = 0


def read_content(path: str | Path) -> bytes:
    """The bytes of a regular, non-empty file of at most 1 GB.

    Raises:
        ValueError: It is something else.
        OSError: It cannot be read.
    """
    file = Path(path)
    if file.is_symlink() and not file.exists():
        raise ValueError("a link to a file that does not exist")
    status = file.stat()
    if stat.S_ISDIR(status.st_mode):
        raise ValueError("a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    if status.st_size == 0:
        raise ValueError("an empty file")
    if status.st_size > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES // 2**20} MB; it cannot be a single image")
    return file.read_bytes()


def parse_dicom(content: bytes) -> DicomFile:
    """Parse a DICOM file, also one without preamble, and check its pixel data against its header.

    Raises:
        ValueError: It is not DICOM, not a single grey frame, or its pixel data is missing, short or damaged.
    """
    with warnings.catch_warnings():  # pydicom warns of much that is harmless; what matters is checked here
        warnings.simplefilter("ignore")
        dataset = _parse(content)
        element = _pixel_element(dataset, content)
        header = read_header(dataset)
        if _is_encapsulated(element):
            frame = _encapsulated_frame(dataset, element)
            return DicomFile(header, _encoded_stream(frame, header), frame, content)
    frame = _native_frame(element, header)
    stream = Stream(Codec.NATIVE, header.rows, header.columns, header.bits_allocated, header.signed)
    return DicomFile(header, stream, frame, content)


def _parse(content: bytes) -> Any:
    import pydicom

    try:
        return pydicom.dcmread(io.BytesIO(content), force=True)
    except MemoryError:
        raise
    except Exception as error:  # arbitrary bytes make pydicom raise nearly anything
        raise ValueError("not a DICOM file") from error


def _pixel_element(dataset: Any, content: bytes) -> Any:
    try:
        element = dataset["PixelData"]
    except KeyError as error:
        if PIXEL_DATA_TAG in content and "Rows" in dataset:
            raise ValueError("truncated: the pixel data is not complete") from error
        if "SOPClassUID" in dataset or "Rows" in dataset or content[128:132] == b"DICM":
            raise ValueError("no pixel data (truncated, or not an image)") from error
        raise ValueError("not a DICOM file") from error
    except Exception as error:  # a broken element, see above
        raise ValueError("the pixel data cannot be read") from error
    if not isinstance(element.value, bytes) or not element.value:
        raise ValueError("the pixel data is empty")
    return element


def _is_encapsulated(element: Any) -> bool:
    """By what is there rather than by the transfer syntax, which may be wrong."""
    return element.is_undefined_length and element.value.startswith(ITEM_TAG)


def _encapsulated_frame(dataset: Any, element: Any) -> bytes:
    from pydicom.encaps import get_frame

    offsets = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    try:
        return get_frame(element.value, 0, number_of_frames=1, extended_offsets=offsets if all(offsets) else None)
    except Exception as error:  # a broken table of offsets
        raise ValueError("the pixel data is not encapsulated as DICOM says") from error


def _encoded_stream(frame: bytes, header: Header) -> Stream:
    stream = inspect_stream(frame)
    if stream is None:
        check_rle(frame, segments=max(1, header.bits_allocated // 8))
        return Stream(Codec.RLE, header.rows, header.columns, header.bits_allocated, header.signed)
    if (stream.rows, stream.columns) != header.shape:
        raise ValueError(
            f"the {stream.codec} stream is {stream.rows}x{stream.columns} pixels, "
            f"the header says {header.rows}x{header.columns}"
        )
    if stream.precision > header.bits_allocated:
        raise ValueError(
            f"the {stream.codec} stream has {stream.precision} bits a sample, the header {header.bits_allocated}"
        )
    return stream


def _native_frame(element: Any, header: Header) -> bytes:
    value = element.value
    expected = math.ceil(header.rows * header.columns * header.bits_allocated / 8)
    if len(value) < expected:
        raise ValueError(f"truncated: the pixel data has {len(value)} of {expected} bytes")
    if (
        header.transfer_syntax == BIG_ENDIAN
        and header.bits_allocated == 8
        and element.VR == "OW"
        and len(value) % 2 == 0
    ):
        return np.frombuffer(value, np.uint16).byteswap().tobytes()  # pairs of pixels are words of the other order
    return value
