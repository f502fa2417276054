"""Makes a JPEG 2000 stream smaller before it is decoded: fewer resolutions, and fewer bit planes of the finest ones.

About 92 % of the decoding time is entropy decoding, so what is left out costs nothing. The result is a plain codestream
that every decoder reads. It takes numba; without it streams stay as they are.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from rsna.imaging.codestream import (
    COD,
    EOC,
    QCD,
    SIZ,
    SOD,
    SOT,
    START,
    Codestream,
    parse_codestream,
)
from rsna.imaging.compiled import compiled
from rsna.imaging.packet_layout import Layout, lay_out

PLANES_PER_LEVEL = 1  # each coarser level keeps one bit plane more: its errors spread over four times the pixels


def thin(frame: bytes, halvings: int, planes: int) -> bytes | None:
    """A codestream of the picture at a lower resolution, and with fewer bit planes.

    Args:
        frame: A JPEG 2000 stream, bare or in JP2 boxes.
        halvings: How often to halve the size, rounded up; as a decoder's own reduction does it, bit for bit.
        planes: How many bit planes to leave out of the finest level that is left, one less of each coarser one. Streams
            with quantised values (lossy) keep all.

    Returns:
        The codestream; None where the stream is of a kind that is decoded as it is, or numba is missing.
    """
    if compiled("packet_writer") is None:
        return None
    try:
        stream = parse_codestream(frame)
        if halvings > stream.levels:
            return None
        layout = lay_out(stream)
        return _rewrite(stream, layout, halvings, planes)
    except (ValueError, IndexError):  # not understood, or damaged: the decoder will say which
        return None


def _rewrite(stream: Codestream, layout: Layout, halvings: int, planes: int) -> bytes:
    packets, writer = compiled("packets"), compiled("packet_writer")
    assert packets is not None
    assert writer is not None
    finest = stream.levels - halvings
    needed = layout.resolutions[layout.packets[:, 1]] <= finest
    read = layout.packets[: np.flatnonzero(needed)[-1] + 1]
    blocks = np.zeros((layout.blocks, 5), np.int64)
    blocks[:, packets.ZERO_PLANES] = blocks[:, packets.FIRST] = -1
    segments = np.zeros((min(layout.blocks * stream.layers, len(stream.body) * 8), 3), np.int64)
    packets.read_packets(stream.body, read, layout.bands, blocks, segments, layout.nodes, *stream.markers)

    written = layout.packets[needed & (layout.packets[:, 0] == 0)]
    written = written[np.argsort(written[:, 1], kind="stable")]  # by resolution and precinct
    passes = _kept_passes(packets, stream, layout, blocks, halvings, planes)
    out = np.empty(blocks[passes > 0, packets.BYTES].sum() + 40 * layout.blocks + 16 * len(written), np.uint8)
    size = writer.write_packets(stream.body, written, layout.bands, blocks, segments, passes, layout.nodes, out)
    return _codestream(stream, halvings, out[:size])


def _kept_passes(
    packets: ModuleType, stream: Codestream, layout: Layout, blocks: np.ndarray, halvings: int, planes: int
) -> np.ndarray:
    """How many coding passes each block keeps, (blocks,): the first plane has one pass, each further one three."""
    passes = blocks[:, packets.PASSES]
    if not planes or not stream.exponents:
        return passes.copy()
    left_out = np.maximum(planes - PLANES_PER_LEVEL * (stream.levels - halvings - layout.resolutions), 0)
    left_out[layout.resolutions == 0] = 0
    all_planes = np.array(stream.exponents)[layout.subbands] + stream.guard_bits - 1  # E-2
    of_band = np.repeat(np.arange(len(layout.bands)), layout.bands[:, 0] * layout.bands[:, 1])
    top = (all_planes - left_out)[of_band] - 1 - blocks[:, packets.ZERO_PLANES]  # planes below the first one
    return np.where(left_out[of_band] > 0, np.minimum(passes, np.where(top >= 0, 3 * top + 1, 0)), passes)


def _codestream(stream: Codestream, halvings: int, packets: np.ndarray) -> bytes:
    """Put headers in front of packets: one tile, one layer, ordered by resolution."""
    levels = stream.levels - halvings
    rows, columns = (-(-side >> halvings) for side in (stream.rows, stream.columns))
    size = np.array([columns, rows, 0, 0, columns, rows, 0, 0], ">u4").tobytes()
    siz = stream.siz[:2] + size + stream.siz[34:]
    style = bytes([stream.cod[0] & 1]) + b"\0\0\1" + stream.cod[4:5] + bytes([levels])
    cod = style + stream.cod[6:10] + (stream.cod[10 : 11 + levels] if stream.cod[0] & 1 else b"")
    bands = {0: 1, 1: 0, 2: 2}.get(stream.qcd[0] & 31, 0) * (3 * levels + 1)
    qcd = stream.qcd[: 1 + bands] if bands else stream.qcd
    tile = b"\0\0" + (14 + packets.size).to_bytes(4, "big") + b"\0\1"
    head = START[:2] + b"".join(_segment(marker, data) for marker, data in ((SIZ, siz), (COD, cod), (QCD, qcd)))
    return head + _segment(SOT, tile) + SOD.to_bytes(2, "big") + packets.tobytes() + EOC.to_bytes(2, "big")


def _segment(marker: int, data: bytes) -> bytes:
    return marker.to_bytes(2, "big") + (len(data) + 2).to_bytes(2, "big") + data
