"""Writes JPEG 2000 packets that hold less of each code block than those which were read. Compiled by numba.

The tables are those of `packets.py`. Annex B of ISO/IEC 15444-1 is the source.
"""

from __future__ import annotations

import numpy as np

from rsna.imaging.packets import BYTES, FAR, FIRST, ZERO_PLANES, checked, floor_log2, tree_path


@checked
def write_bits(out: np.ndarray, at: np.ndarray, value: int, count: int) -> None:
    """Append bits to a packet header; `at`: next byte, bits free in the current one, current byte."""
    for i in range(count - 1, -1, -1):
        at[1] -= 1
        at[2] |= ((value >> i) & 1) << at[1]
        if at[1] == 0:
            out[at[0]] = at[2]
            at[0] += 1
            at[1] = 7 if at[2] == 0xFF else 8
            at[2] = 0


@checked
def end_bits(out: np.ndarray, at: np.ndarray) -> None:
    """Write the last byte of a packet header; behind an FF it is a stuffed one."""
    if at[1] < 8:
        out[at[0]] = at[2]
        at[0] += 1
    at[1], at[2] = 8, 0


@checked
def write_passes(out: np.ndarray, at: np.ndarray, passes: int) -> None:
    """Append a number of coding passes (table B.4)."""
    if passes == 1:
        write_bits(out, at, 0, 1)
    elif passes == 2:
        write_bits(out, at, 2, 2)
    elif passes <= 5:
        write_bits(out, at, 0b1100 | (passes - 3), 4)
    elif passes <= 36:
        write_bits(out, at, 0b1111 << 5 | (passes - 6), 9)
    else:
        write_bits(out, at, 0b111111111 << 7 | (passes - 37), 16)


@checked
def write_tree(
    out: np.ndarray, at: np.ndarray, path: np.ndarray, count: int, low: np.ndarray, value: np.ndarray, limit: int
) -> None:
    """Append what tells a reader whether a leaf's value is below a limit; `low` is -1 - known once that was told."""
    known = 0
    for i in range(count - 1, -1, -1):
        node = path[i]
        told = low[node] < 0
        known = max(known, -1 - low[node] if told else low[node])
        while known < limit:
            if known >= value[node]:
                if not told:
                    write_bits(out, at, 1, 1)
                    told = True
                break
            write_bits(out, at, 0, 1)
            known += 1
        low[node] = -1 - known if told else known


@checked
def fill_tree(band: np.ndarray, value: np.ndarray) -> None:
    """Give every node of a tag tree the smallest value below it."""
    columns, rows, node = band[0], band[1], band[3]
    while columns * rows > 1:
        above, width = node + columns * rows, (columns + 1) // 2
        for i in range(columns * rows):
            parent = above + (i // columns // 2) * width + i % columns // 2
            value[parent] = min(value[parent], value[node + i])
        node, columns, rows = above, width, (rows + 1) // 2


@checked
def write_block(out: np.ndarray, at: np.ndarray, path: np.ndarray, count: int, block: np.ndarray, passes: int,
                trees: np.ndarray) -> None:  # fmt: skip
    """Append what a packet header says about one block that is kept."""
    for limit in range(1, block[ZERO_PLANES] + 2):
        write_tree(out, at, path, count, trees[2], trees[3], limit)
    write_passes(out, at, passes)
    extra = floor_log2(passes)
    bits = max(3 + extra, floor_log2(block[BYTES]) + 1)
    for _ in range(bits - extra - 3):
        write_bits(out, at, 1, 1)
    write_bits(out, at, 0, 1)
    write_bits(out, at, block[BYTES], bits)


@checked
def write_header(
    out: np.ndarray, at: np.ndarray, band: np.ndarray, blocks: np.ndarray, passes: np.ndarray, trees: np.ndarray,
    path: np.ndarray,
) -> None:  # fmt: skip
    """Append what a packet header says about the blocks of one band."""
    for i in range(band[0] * band[1]):
        if passes[band[2] + i] > 0:
            trees[1, band[3] + i] = 0
            trees[3, band[3] + i] = blocks[band[2] + i, ZERO_PLANES]
        else:
            trees[1, band[3] + i] = 1
    fill_tree(band, trees[1])
    fill_tree(band, trees[3])
    for i in range(band[0] * band[1]):
        count = tree_path(band, i % band[0], i // band[0], path)
        write_tree(out, at, path, count, trees[0], trees[1], 1)
        if passes[band[2] + i] > 0:
            write_block(out, at, path, count, blocks[band[2] + i], passes[band[2] + i], trees)


@checked
def write_packets(
    data: np.ndarray, packets: np.ndarray, bands: np.ndarray, blocks: np.ndarray, segments: np.ndarray,
    passes: np.ndarray, nodes: int, out: np.ndarray,
) -> int:  # fmt: skip
    """Write packets of one layer that keep `passes` (blocks,) of each block; returns the number of bytes."""
    trees = np.zeros((4, nodes), np.int32)
    trees[1::2] = FAR
    at, path = np.zeros(3, np.int64), np.zeros(32, np.int64)
    at[1] = 8
    for p in range(len(packets)):
        first_band, band_count = packets[p, 1], packets[p, 2]
        write_bits(out, at, 1, 1)
        for b in range(first_band, first_band + band_count):
            write_header(out, at, bands[b], blocks, passes, trees, path)
        end_bits(out, at)
        for b in range(first_band, first_band + band_count):
            for i in range(bands[b, 2], bands[b, 2] + bands[b, 0] * bands[b, 1]):
                segment = blocks[i, FIRST] if passes[i] > 0 else -1
                while segment >= 0:
                    start, size = segments[segment, 0], segments[segment, 1]
                    out[at[0] : at[0] + size] = data[start : start + size]
                    at[0] += size
                    segment = segments[segment, 2]
    return int(at[0])


def warm_up() -> None:
    """Compile for the types that are used."""
    data, table = np.frombuffer(b"", np.uint8), np.zeros((0, 5), np.int64)
    write_packets(data, table, table, table, table, table[:, 0].copy(), 0, np.zeros(0, np.uint8))
