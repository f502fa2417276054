"""Encoded pixel data: which codec it is, by its own bytes, what size it claims, and whether it is all there.

Most decoders return a picture for a lossless JPEG that ends early, and some for a JPEG 2000 whose tail is zeros. Both
formats say where they end, so this is checked before anything is decoded.
Sources: ITU-T T.81 (JPEG), T.87 (JPEG-LS), T.800 (JPEG 2000), DICOM PS3.5 annex G (RLE).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class Codec(StrEnum):
    """How pixel data is encoded."""

    NATIVE = "uncompressed"
    RLE = "RLE"
    JPEG = "JPEG"
    JPEG_12_BIT = "12-bit JPEG"
    JPEG_LOSSLESS = "JPEG Lossless"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"


@dataclass(frozen=True)
class Stream:
    """What encoded pixel data says about itself.

    Attributes:
        codec: How it is encoded.
        rows: Height, pixels.
        columns: Width, pixels.
        precision: Bits of a decoded sample.
        signed: Whether samples decode to signed numbers.
    """

    codec: Codec
    rows: int
    columns: int
    precision: int
    signed: bool = False


JPEG_START = b"\xff\xd8"
J2K_START, TILE_START = b"\xff\x4f\xff\x51", b"\xff\x90"
STREAM_END = b"\xff\xd9"  # of all three
MAX_TILES = 2**16 - 1  # as many as can be numbered
JP2_START = b"\x00\x00\x00\x0cjP  "
JPEG_FRAMES = {  # start-of-frame markers that the decoders know
    0xC0: Codec.JPEG,
    0xC1: Codec.JPEG,
    0xC2: Codec.JPEG,
    0xC3: Codec.JPEG_LOSSLESS,
    0xF7: Codec.JPEG_LS,
}
SEQUENTIAL = (0xC0, 0xC1)
ARITHMETIC_OR_HIERARCHICAL = (*range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))


def inspect_stream(data: bytes) -> Stream | None:
    """Read the frame header of JPEG, JPEG-LS or JPEG 2000 data; None where it is none of them.

    Raises:
        ValueError: The stream is of a kind that is not read, damaged, or ends early.
    """
    if data.startswith(JPEG_START):
        return _inspect_jpeg(data)
    if data.startswith((J2K_START, JP2_START)):
        return _inspect_jpeg2000(data)
    return None


def check_rle(data: bytes, segments: int) -> None:
    """Check the header of an RLE frame: one segment per byte of a sample (PS3.5 G.5)."""
    header = np.frombuffer(data[:64], "<u4")
    offsets = header[1 : segments + 1].tolist()
    if header.size < 16 or header[0] != segments:
        raise ValueError("the pixel data is neither sound RLE nor JPEG of any kind")
    if offsets != sorted(set(offsets)) or offsets[0] < 64 or offsets[-1] >= len(data):
        raise ValueError("the RLE data ends early")


def _inspect_jpeg(data: bytes) -> Stream:
    stream, marker, at = None, 0, 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise ValueError("the JPEG header is damaged")
        if data[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        code, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at + 4 : at + 2 + size]
        if code in JPEG_FRAMES:
            stream, marker = _jpeg_frame(JPEG_FRAMES[code], segment), code
        elif code in ARITHMETIC_OR_HIERARCHICAL:
            raise ValueError(f"a JPEG process that is not read (marker {code:02X})")
        elif code == 0xDA:
            return _check_scan(data, at, stream, segment, marker)
        at += 2 + size
    raise ValueError("the JPEG stream ends before its first scan")


def _jpeg_frame(codec: Codec, segment: bytes) -> Stream:
    if len(segment) < 6:
        raise ValueError("the JPEG header is damaged")
    if segment[5] != 1:
        raise ValueError(f"the JPEG stream holds {segment[5]} colour components")
    rows, columns = (int.from_bytes(segment[i : i + 2], "big") for i in (1, 3))
    if codec == Codec.JPEG and segment[0] > 8:
        codec = Codec.JPEG_12_BIT
    return Stream(codec, rows, columns, precision=segment[0])


def _check_scan(data: bytes, at: int, stream: Stream | None, segment: bytes, marker: int) -> Stream:
    if stream is None:
        raise ValueError("the JPEG stream has a scan before its frame")
    if marker in SEQUENTIAL and segment[-3:-1] != b"\x00\x3f":  # T.81 B.2.3: Ss 0, Se 63
        raise ValueError("the scan header of the sequential JPEG stream is invalid (spectral selection is not 0..63)")
    if data.rfind(STREAM_END, at) < 0:  # entropy-coded data never contains a marker
        raise ValueError(f"the {stream.codec} stream ends early (no end-of-image marker)")
    return stream


def _inspect_jpeg2000(data: bytes) -> Stream:
    start = data.find(J2K_START)
    size = data[start + 4 : start + 45]  # from Lsiz to the first component's Ssiz
    if start < 0 or len(size) < 41:
        raise ValueError("the JPEG 2000 header is damaged")
    right, bottom, left, top = np.frombuffer(size[4:20], ">u4").tolist()
    components, sample = int.from_bytes(size[36:38], "big"), size[38]
    if components != 1:
        raise ValueError(f"the JPEG 2000 stream holds {components} colour components")
    wide, high, from_left, from_top = np.frombuffer(size[20:36], ">u4").tolist()
    if not wide or not high or -(-(right - from_left) // wide) * -(-(bottom - from_top) // high) > MAX_TILES:
        raise ValueError(f"the JPEG 2000 stream has absurd tiles ({high}x{wide} pixels)")
    tile = data.find(TILE_START, start)
    if tile < 0 or data.rfind(STREAM_END, tile) < 0:  # packets never contain a marker either
        raise ValueError("the JPEG 2000 stream ends early (no end-of-codestream marker)")
    return Stream(Codec.JPEG_2000, bottom - top, right - left, (sample & 0x7F) + 1, signed=sample >= 0x80)
