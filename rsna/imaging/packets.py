"""Reads JPEG 2000 packets: what they hold of each code block. Compiled by numba; `packet_writer.py` writes new ones.

A packet header says how many coding passes of a code block follow and in how many bytes (ISO/IEC 15444-1 B.10). A
decoder reads the passes that it is told of and ignores the bytes that are left, so a header with fewer passes makes a
stream that decodes faster, with the lowest bit planes missing. Nothing is entropy-decoded here.

Every index is checked: a damaged stream raises `IndexError` or `ValueError`.

Tables of int64, made by `packet_layout.py`:
    bands    (bands, 4): columns and rows of code blocks, first block, first node of the tag trees; one row for each
             subband of each precinct.
    packets  (packets, 3): layer, first band, number of bands; in the order of the stream.
    blocks   (blocks, 5): zero bit planes (-1: not seen), passes, bytes, first and last segment.
    segments (segments, 3): start in the stream, bytes, next segment of the block or -1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

FAR = 1 << 20  # a value that no tag tree holds
MAX_PLANES = 64
ZERO_PLANES, PASSES, BYTES, FIRST, LAST = range(5)


def checked(function: F) -> F:
    """Compile at the first call, with checks of every index."""
    return cast("F", numba.njit(cache=True, boundscheck=True)(function))


@checked
def read_bit(data: np.ndarray, at: np.ndarray) -> int:
    """The next bit of a packet header; `at`: next byte, bits left in the current one, current byte (B.10.1)."""
    if at[1] == 0:
        stuffed = at[2] == 0xFF
        at[2] = data[at[0]]
        at[0] += 1
        at[1] = 7 if stuffed else 8
    at[1] -= 1
    return (at[2] >> at[1]) & 1


@checked
def read_bits(data: np.ndarray, at: np.ndarray, count: int) -> int:
    """The next bits as a number."""
    value = 0
    for _ in range(count):
        value = 2 * value + read_bit(data, at)
    return value


@checked
def read_passes(data: np.ndarray, at: np.ndarray) -> int:
    """The number of new coding passes (table B.4)."""
    if read_bit(data, at) == 0:
        return 1
    if read_bit(data, at) == 0:
        return 2
    value = read_bits(data, at, 2)
    if value < 3:
        return 3 + value
    value = read_bits(data, at, 5)
    if value < 31:
        return 6 + value
    return 37 + read_bits(data, at, 7)


@checked
def tree_path(band: np.ndarray, x: int, y: int, path: np.ndarray) -> int:
    """The nodes from a leaf to the root of a tag tree (B.10.2), into `path`; returns how many."""
    columns, rows, node, count = band[0], band[1], band[3], 0
    while True:
        path[count] = node + y * columns + x
        count += 1
        if columns * rows <= 1:
            return count
        node += columns * rows
        columns, rows, x, y = (columns + 1) // 2, (rows + 1) // 2, x // 2, y // 2


@checked
def read_tree(
    data: np.ndarray, at: np.ndarray, path: np.ndarray, count: int, low: np.ndarray, value: np.ndarray, limit: int
) -> bool:
    """Whether a leaf's value is below a limit, reading as many bits as that takes."""
    known = 0
    for i in range(count - 1, -1, -1):
        node = path[i]
        known = max(known, low[node])
        while known < limit and known < value[node]:
            if read_bit(data, at):
                value[node] = known
            else:
                known += 1
        low[node] = known
    return value[path[0]] < limit


@checked
def floor_log2(value: int) -> int:
    """The position of the highest bit of a positive number."""
    result = 0
    while value > 1:
        value >>= 1
        result += 1
    return result


@checked
def read_block(
    data: np.ndarray, at: np.ndarray, layer: int, band: np.ndarray, i: int, block: np.ndarray, trees: np.ndarray,
    path: np.ndarray, length_bits: np.ndarray,
) -> tuple[int, int]:  # fmt: skip
    """What a packet header says about one block: its new passes, 0 for none, and their bytes (B.10.3 to B.10.7)."""
    if block[ZERO_PLANES] >= 0:
        if not read_bit(data, at):
            return 0, 0
    else:
        count = tree_path(band, i % band[0], i // band[0], path)
        if not read_tree(data, at, path, count, trees[0], trees[1], layer + 1):
            return 0, 0
        planes = 1
        while not read_tree(data, at, path, count, trees[2], trees[3], planes):
            planes += 1
            if planes > MAX_PLANES:
                raise ValueError
        block[ZERO_PLANES] = planes - 1
    passes = read_passes(data, at)
    while read_bit(data, at):
        length_bits[band[2] + i] += 1
    bits = length_bits[band[2] + i] + floor_log2(passes)
    if bits > 31:
        raise ValueError
    return passes, read_bits(data, at, bits)


@checked
def add_segment(block: np.ndarray, segments: np.ndarray, used: int, passes: int, size: int) -> None:
    """Note a block's new bytes, behind those that it has from earlier layers; where they start is not known yet."""
    segments[used, 1], segments[used, 2] = size, -1
    if block[PASSES] == 0:
        block[FIRST] = used
    else:
        segments[block[LAST], 2] = used
    block[LAST] = used
    block[PASSES] += passes
    block[BYTES] += size


@checked
def skip_marker(data: np.ndarray, at: np.ndarray, second: int, size: int) -> None:
    """Step over an SOP or EPH marker where there is one; no packet header starts with FF 91 (A.8)."""
    if at[0] + size <= len(data) and data[at[0]] == 0xFF and data[at[0] + 1] == second:
        at[0] += size


@checked
def read_packets(
    data: np.ndarray, packets: np.ndarray, bands: np.ndarray, blocks: np.ndarray, segments: np.ndarray, nodes: int,
    sop: bool, eph: bool,
) -> None:  # fmt: skip
    """Fill `blocks` and `segments` from the packets in `data`, (bytes,) uint8, which may go on behind them."""
    trees = np.zeros((4, nodes), np.int32)  # inclusion: known and value, then zero bit planes: known and value
    trees[1::2] = FAR
    length_bits = np.full(len(blocks), 3, np.int64)
    at, path, used = np.zeros(3, np.int64), np.zeros(32, np.int64), 0
    for p in range(len(packets)):
        layer, first_band, band_count = packets[p]
        start = used
        if sop:
            skip_marker(data, at, 0x91, 6)
        present = read_bit(data, at)
        for b in range(first_band, first_band + band_count * present):
            for i in range(bands[b, 0] * bands[b, 1]):
                block = blocks[bands[b, 2] + i]
                passes, size = read_block(data, at, layer, bands[b], i, block, trees, path, length_bits)
                if passes > 0:
                    add_segment(block, segments, used, passes, size)
                    used += 1
        if at[2] == 0xFF:  # a header does not end in FF: a byte is stuffed
            at[0] += 1
        at[1] = at[2] = 0
        if eph:
            skip_marker(data, at, 0x92, 2)
        for s in range(start, used):
            segments[s, 0] = at[0]
            at[0] += segments[s, 1]
        if at[0] > len(data):
            raise ValueError


def warm_up() -> None:
    """Compile for the types that are used."""
    table = np.zeros((0, 5), np.int64)
    read_packets(np.frombuffer(b"", np.uint8), table, table, table, table, 0, False, False)
