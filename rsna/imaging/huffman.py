"""Decodes the samples of a lossless JPEG scan, compiled by numba: in half the time of libjpeg, bit for bit the same.

A table says for the next bits how long a whole symbol is, its code and the bits behind it, and which difference it
stands for; only long symbols are looked up bit by bit. A second one counts differences of 0 that follow one another,
which air is made of. `lossless.py` makes the tables (ITU-T T.81, annex H and F.2.2.3).

Indices are not checked by numba, which would take most of the time. Tables are looked up with as many bits as they have
entries, samples are counted, and the data is padded by more than is read at once.
"""

from __future__ import annotations

import numba
import numpy as np

WINDOW = 13  # bits that the tables look at
LONGEST = 16  # bits of a code
LARGEST = 16  # bits of a difference; this one is 32768 and has none behind its code
PADDING = 16  # bytes behind the data
ENDS_EARLY, NO_CODE, MARKER = -1, -2, -3


@numba.njit(cache=True)
def next_bytes(data: np.ndarray, at: int) -> tuple[np.int64, int]:
    """The next four bytes as a number, without those stuffed behind 0xFF, and where it goes on; -1 at a marker."""
    a, b, c, d = data[at], data[at + 1], data[at + 2], data[at + 3]
    if a != 0xFF and b != 0xFF and c != 0xFF and d != 0xFF:
        return np.int64(a) << 24 | np.int64(b) << 16 | np.int64(c) << 8 | np.int64(d), at + 4
    value = np.int64(0)
    for _ in range(4):
        value = value << 8 | np.int64(data[at])
        at += 1
        if data[at - 1] == 0xFF:
            if data[at] != 0:
                return np.int64(-1), at
            at += 1
    return value, at


@numba.njit(cache=True)
def long_symbol(
    held: np.uint64, limits: np.ndarray, offsets: np.ndarray, sizes: np.ndarray
) -> tuple[np.int64, np.int64]:
    """The length and the difference of any symbol, from 64 bits; a length of 0 where they are no code."""
    for length in range(1, LONGEST + 1):
        code = np.int64(held >> np.uint64(64 - length))
        if code < limits[length]:
            place = code + offsets[length]
            if place < 0 or place >= len(sizes):
                break
            size = np.int64(sizes[place])
            if size == 0 or size == LARGEST:
                return np.int64(length), size << 11  # 0 or 32768
            behind = np.int64((held << np.uint64(length)) >> np.uint64(64 - size))
            return length + size, behind if behind >> (size - 1) else behind + 1 - (1 << size)
    return np.int64(0), np.int64(0)


@numba.njit(cache=True)
def decode_samples(
    data: np.ndarray,
    table: np.ndarray,
    runs: np.ndarray,
    limits: np.ndarray,
    offsets: np.ndarray,
    sizes: np.ndarray,
    first: int,
    out: np.ndarray,
) -> int:
    """Decode one scan whose samples are predicted from their left neighbours (predictor 1).

    Args:
        data: (N + PADDING,) uint8, the scan and zeros.
        table: (2**WINDOW,) int32: length in the low 5 bits, difference above them; 0 where the symbol is longer.
        runs: (2**WINDOW,) uint8: how many differences of 0 the bits begin with.
        limits: (LONGEST + 1,) int64: the first code beyond those of a length; 0 where there are none.
        offsets: (LONGEST + 1,) int64: what leads from a code of a length to its place in `sizes`.
        sizes: uint8, bits of the differences in the order of their codes.
        first: What the first sample is predicted as.
        out: (rows, columns) uint16, gets the samples.

    Returns:
        0, or `ENDS_EARLY`, `NO_CODE` or `MARKER`.
    """
    rows, columns = out.shape
    size, held, count, at = len(data) - PADDING, np.uint64(0), 0, 0
    zero = np.int64(table[np.argmax(runs)]) & 31
    for y in range(rows):
        value = np.int64(first if y == 0 else out[y - 1, 0])
        x = 0
        while x < columns:
            if count <= 32:
                if at >= size + PADDING // 2:
                    return ENDS_EARLY
                word, at = next_bytes(data, at)
                if word < 0:
                    return MARKER
                held |= np.uint64(word) << np.uint64(32 - count)
                count += 32
            look = np.int64(held >> np.uint64(64 - WINDOW))
            entry = np.int64(table[look])
            length, difference = entry & 31, entry >> 5
            if length == 0:
                length, difference = long_symbol(held, limits, offsets, sizes)
                if length == 0:
                    return NO_CODE
            elif difference == 0 and runs[look] > 1:
                many = min(int(runs[look]), columns - x)
                for i in range(many - 1):
                    out[y, x + i] = np.uint16(value)
                x, length = x + many - 1, many * zero
            value = (value + difference) & 0xFFFF
            out[y, x] = np.uint16(value)
            x += 1
            held <<= np.uint64(length)
            count -= int(length)
    return 0 if count >= 8 * (at - size) else ENDS_EARLY


def warm_up() -> None:
    """Compile for the types that are used."""
    table, runs = np.full(2**WINDOW, 1, np.int32), np.ones(2**WINDOW, np.uint8)
    limits, offsets = np.zeros(LONGEST + 1, np.int64), np.zeros(LONGEST + 1, np.int64)
    data, sizes = np.zeros(4 + PADDING, np.uint8), np.zeros(1, np.uint8)
    decode_samples(data, table, runs, limits, offsets, sizes, 0, np.empty((1, 1), np.uint16))
