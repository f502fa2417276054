"""Lossless JPEG as mammograms have it: one component, one scan, predictor 1, no restarts (ITU-T T.81, annex H).

What differs from that is left to the decoders behind it in the chain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsna.imaging.compiled import compiled
from rsna.imaging.stream import STREAM_END

SOF3, DHT, SOS, DRI = 0xC3, 0xC4, 0xDA, 0xDD


@dataclass(frozen=True)
class Scan:
    """The one scan of a stream.

    Attributes:
        rows: Height, pixels.
        columns: Width, pixels.
        precision: Bits of a sample.
        counts: How many codes there are of 1 to 16 bits.
        sizes: How many bits the difference behind each code has, in the order of the codes.
        data: The encoded differences, with stuffed bytes.
    """

    rows: int
    columns: int
    precision: int
    counts: tuple[int, ...]
    sizes: bytes
    data: bytes


def decode_lossless(frame: bytes) -> np.ndarray:
    """Decode a lossless JPEG stream.

    Returns:
        (rows, columns) uint16.

    Raises:
        ValueError: The stream is of a kind that is not read here, damaged, or ends early; or numba does not work.
    """
    huffman = compiled("huffman")
    if huffman is None:
        raise ValueError("numba does not work here")
    scan = _parse(frame)
    limits, offsets = _code_limits(scan.counts, huffman.LONGEST)
    table = _symbols(scan, huffman.WINDOW)
    data = np.frombuffer(scan.data + bytes(huffman.PADDING), np.uint8)
    sizes = np.frombuffer(scan.sizes, np.uint8)
    out = np.empty((scan.rows, scan.columns), np.uint16)
    first = 1 << (scan.precision - 1)
    problem = huffman.decode_samples(data, table, _zero_runs(table, huffman.WINDOW), limits, offsets, sizes, first, out)
    if problem:
        reasons = {huffman.ENDS_EARLY: "ends early", huffman.NO_CODE: "holds bits that are no code"}
        raise ValueError(f"the scan {reasons.get(problem, 'holds markers')}")
    return out


def _parse(frame: bytes) -> Scan:
    """Find the scan. Raises `ValueError` for any other kind of stream."""
    at, size, tables = 2, b"", dict[int, tuple[tuple[int, ...], bytes]]()
    while at + 4 <= len(frame):
        code, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4], "big")
        segment = frame[at + 4 : at + 2 + length]
        if frame[at] != 0xFF or length < 2:
            raise ValueError("the JPEG header is damaged")
        at += 2 + length
        if code == SOF3:
            size = segment
        elif code == DHT:
            tables |= _tables(segment)
        elif code == DRI and any(segment):
            raise ValueError("restart intervals are not read")
        elif code == SOS:
            return _scan(frame[at : frame.rfind(STREAM_END)], size, segment, tables)
    raise ValueError("the JPEG stream has no scan")


def _scan(data: bytes, size: bytes, segment: bytes, tables: dict[int, tuple[tuple[int, ...], bytes]]) -> Scan:
    if len(size) != 9 or size[5] != 1 or not 2 <= size[0] <= 16:
        raise ValueError("not one component of 2 to 16 bits")
    if len(segment) != 6 or segment[0] != 1 or segment[3:] != b"\1\0\0":
        raise ValueError("not one scan with predictor 1 and without a point transform")
    if segment[2] >> 4 not in tables:
        raise ValueError("the table of codes is missing")
    counts, sizes = tables[segment[2] >> 4]
    return Scan(int.from_bytes(size[1:3], "big"), int.from_bytes(size[3:5], "big"), size[0], counts, sizes, data)


def _tables(segment: bytes) -> dict[int, tuple[tuple[int, ...], bytes]]:
    """The tables of codes in a segment, by number: how many codes of each length, and what they stand for."""
    found: dict[int, tuple[tuple[int, ...], bytes]] = {}
    while segment:
        counts = tuple(segment[1:17])
        sizes = segment[17 : 17 + sum(counts)]
        if len(counts) < 16 or len(sizes) < sum(counts) or not sizes or max(sizes) > 16:
            raise ValueError("a table of codes is damaged")
        found[segment[0]] = counts, sizes
        segment = segment[17 + sum(counts) :]
    return found


def _codes(counts: tuple[int, ...]) -> list[tuple[int, int]]:
    """Each code and its length, in their order (T.81 annex C)."""
    codes, code = [], 0
    for length, count in enumerate(counts, start=1):
        if code + count > 1 << length:
            raise ValueError("a table of codes has too many of one length")
        codes += [(code + i, length) for i in range(count)]
        code = (code + count) << 1
    return codes


def _code_limits(counts: tuple[int, ...], longest: int) -> tuple[np.ndarray, np.ndarray]:
    """For each length the first code beyond it, and what leads from a code to its place in the order."""
    limits, offsets = np.zeros(longest + 1, np.int64), np.zeros(longest + 1, np.int64)
    for place, (code, length) in enumerate(_codes(counts)):
        limits[length], offsets[length] = code + 1, place - code
    return limits, offsets


def _symbols(scan: Scan, window: int) -> np.ndarray:
    """For the next `window` bits: the length of the symbol, and 32 times its difference; 0 where it is longer."""
    table = np.zeros(2**window, np.int32)
    for (code, length), size in zip(_codes(scan.counts), scan.sizes, strict=True):
        behind = 0 if size == 16 else size
        spare = window - length - behind
        if spare < 0:
            continue
        values = np.arange(1 << behind, dtype=np.int64)
        differences = np.where(values < 1 << behind >> 1, values + 1 - (1 << behind), values)
        differences = np.array([32768]) if size == 16 else differences
        start = code << (window - length)
        table[start : start + (1 << (window - length))] = np.repeat(differences * 32 + length + behind, 1 << spare)
    return table


def _zero_runs(table: np.ndarray, window: int) -> np.ndarray:
    """For the next `window` bits: how many whole differences of 0 they begin with."""
    runs, left = np.zeros(len(table), np.uint8), np.arange(len(table))
    length, zero = table & 31, (table >> 5 == 0) & (table & 31 > 0)
    if not zero.any():
        return runs
    step = int(length[zero][0])
    for known in range(0, window - step + 1, step):
        left = (np.arange(len(table)) << known) & (len(table) - 1)
        runs += (zero[left] & (runs == known // step)).astype(np.uint8)
    return runs
