"""Which packets a JPEG 2000 tile has, in which order, and how many code blocks each holds (ISO/IEC 15444-1 annex B)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from rsna.imaging.codestream import LRCP, RLCP, RPCL, Codestream, NotUnderstood

MAX_BLOCKS = 2**18  # a mammogram of 28 megapixels has 7,000
MAX_PACKETS = 2**16


@dataclass(frozen=True, eq=False)
class Layout:
    """The tables of `packets.py`, and of each band: its resolution and its place among the subbands."""

    packets: np.ndarray
    bands: np.ndarray
    resolutions: np.ndarray
    subbands: np.ndarray
    blocks: int
    nodes: int


def lay_out(stream: Codestream) -> Layout:
    """The tables of a codestream's packets.

    Raises:
        NotUnderstood: The order of the packets is not simple, or they are absurdly many.
    """
    rows: list[tuple[int, int, int, int]] = []
    kinds: list[tuple[int, int]] = []
    first: list[list[tuple[int, int]]] = []  # by resolution and precinct: the first band and their number
    blocks = nodes = 0
    for r in range(stream.levels + 1):
        grid = _precinct_grid(stream, r)
        if len(grid) * (stream.levels + 1) * stream.layers > MAX_PACKETS:
            raise NotUnderstood("absurdly many packets")
        first.append([])
        for precinct in grid:
            bands = [(0, 0, 0)] if r == 0 else [(3 * r - 2, 1, 0), (3 * r - 1, 0, 1), (3 * r, 1, 1)]
            first[r].append((len(rows), len(bands)))
            for subband, right, low in bands:
                width, height = _blocks(stream, r, precinct, right, low)
                rows.append((width, height, blocks, nodes))
                kinds.append((r, subband))
                blocks, nodes = blocks + width * height, nodes + _tree_size(width, height)
        if blocks * stream.layers > MAX_BLOCKS:
            raise NotUnderstood("absurdly many code blocks")
    packets = [(layer, *first[r][p]) for layer, r, p in _order(stream, [len(precincts) for precincts in first])]
    resolutions, subbands = np.array(kinds, np.int64).T
    return Layout(np.array(packets, np.int64), np.array(rows, np.int64), resolutions, subbands, blocks, nodes)


def _precinct_grid(stream: Codestream, r: int) -> list[tuple[int, int]]:
    """The rows and columns of a resolution's precincts (B.6)."""
    shrink = stream.levels - r
    wide, high = stream.precincts[r]
    across, down = (
        math.ceil(math.ceil(side / 2**shrink) / 2**e) for side, e in ((stream.columns, wide), (stream.rows, high))
    )
    if across * down > MAX_PACKETS:
        raise NotUnderstood("absurdly many precincts")
    return list(product(range(down), range(across)))


def _blocks(stream: Codestream, r: int, precinct: tuple[int, int], right: int, low: int) -> tuple[int, int]:
    """How many code blocks a precinct has in one subband, across and down (B.7)."""
    shrink = stream.levels - r + (r > 0)
    counts = []
    for side, place, exponent, block, odd in (
        (stream.columns, precinct[1], stream.precincts[r][0], stream.block[0], right),
        (stream.rows, precinct[0], stream.precincts[r][1], stream.block[1], low),
    ):
        length = math.ceil((side - (2 ** (shrink - 1) if odd else 0)) / 2**shrink)
        size = exponent - (r > 0)
        start, end = place << size, min((place + 1) << size, length)
        counts.append(math.ceil(max(0, end - start) / 2 ** min(block, size)))
    return (counts[0], counts[1]) if all(counts) else (0, 0)


def _tree_size(width: int, height: int) -> int:
    size = width * height
    while width * height > 1:
        width, height = (width + 1) // 2, (height + 1) // 2
        size += width * height
    return size


def _order(stream: Codestream, precincts: list[int]) -> list[tuple[int, int, int]]:
    """Layer, resolution and precinct of each packet, in the order of the stream (B.12)."""
    layers, resolutions = range(stream.layers), range(len(precincts))
    if stream.progression == LRCP:
        return [(layer, r, p) for layer in layers for r in resolutions for p in range(precincts[r])]
    if stream.progression == RLCP:
        return [(layer, r, p) for r in resolutions for layer in layers for p in range(precincts[r])]
    if stream.progression != RPCL and max(precincts) > 1:
        raise NotUnderstood("packets in the order of positions")
    return [(layer, r, p) for r in resolutions for p in range(precincts[r]) for layer in layers]
