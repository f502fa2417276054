"""The headers of a JPEG 2000 codestream (ISO/IEC 15444-1 annex A).

Only what most mammograms are: one component, one tile at the origin, code blocks of one codeword segment. Anything else
is not an error but "not understood", and decoded as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

START = b"\xff\x4f\xff\x51"
SIZ, COD, QCD, SOT, SOD, EOC = 0xFF51, 0xFF52, 0xFF5C, 0xFF90, 0xFF93, 0xFFD9
HARMLESS = {0xFF55, 0xFF57, 0xFF58, 0xFF63, 0xFF64}  # TLM, PLM, PLT, CRG, COM: lengths and comments
LRCP, RLCP, RPCL, PCRL, CPRL = range(5)
SEVERAL_SEGMENTS = 0x01 | 0x04 | 0x40 | 0x80  # bypass, termination of each pass, high throughput, reserved


class NotUnderstood(ValueError):
    """The stream is of a kind that is decoded as it is."""


@dataclass(frozen=True, eq=False)
class Codestream:
    """A codestream of one component and one tile.

    Attributes:
        rows: Height, pixels.
        columns: Width, pixels.
        levels: Wavelet decompositions; there is one resolution more.
        layers: Quality layers.
        progression: The order of the packets.
        block: Exponents of a code block's width and height.
        precincts: Exponents of the precincts' width and height, one pair for each resolution.
        markers: SOP and EPH: whether packets may be marked.
        guard_bits: Of the quantisation.
        exponents: Of the subbands, from the coarsest; empty where values are quantised (lossy).
        siz: The segments as they are, without marker and length.
        cod: As `siz`.
        qcd: As `siz`.
        body: The tile's packets.
    """

    rows: int
    columns: int
    levels: int
    layers: int
    progression: int
    block: tuple[int, int]
    precincts: tuple[tuple[int, int], ...]
    markers: tuple[bool, bool]
    guard_bits: int
    exponents: tuple[int, ...]
    siz: bytes
    cod: bytes
    qcd: bytes
    body: np.ndarray


def resolution_levels(frame: bytes) -> int:
    """How often the decoded picture can be halved, by the COD segment; 0 where there is none."""
    at = frame.find(START) + 2
    while at > 0 and at + 4 <= len(frame):
        marker, size = (int.from_bytes(frame[i : i + 2], "big") for i in (at, at + 2))
        if marker == COD:
            return min(frame[at + 9], 32) if at + 9 < len(frame) else 0
        if marker == SOT or marker < 0xFF01 or size < 2:
            return 0
        at += 2 + size
    return 0


def parse_codestream(frame: bytes) -> Codestream:
    """Read the headers of a codestream, bare or in JP2 boxes.

    Raises:
        NotUnderstood: It is of another kind.
    """
    start = frame.find(START)
    if start < 0:
        raise NotUnderstood("no codestream")
    segments, at = _segments(frame, start + 2, SOT)
    siz, cod, qcd = (segments.get(marker, b"") for marker in (SIZ, COD, QCD))
    if set(segments) - HARMLESS - {SIZ, COD, QCD} or len(siz) != 39 or len(cod) < 10 or len(qcd) < 2:
        raise NotUnderstood("unusual segments")
    rows, columns = _check_size(siz)
    layers, levels = _check_style(cod)
    return Codestream(
        rows=rows,
        columns=columns,
        levels=levels,
        layers=layers,
        progression=cod[1],
        block=(cod[6] + 2, cod[7] + 2),
        precincts=_precincts(cod, levels),
        markers=(bool(cod[0] & 2), bool(cod[0] & 4)),
        guard_bits=qcd[0] >> 5,
        exponents=tuple(value >> 3 for value in qcd[1 : 3 * levels + 2]) if qcd[0] & 31 == 0 else (),
        siz=siz,
        cod=cod,
        qcd=qcd,
        body=_body(frame, at),
    )


def _segments(frame: bytes, at: int, end: int) -> tuple[dict[int, bytes], int]:
    """The marker segments up to a marker, by marker, and where that is."""
    segments: dict[int, bytes] = {}
    while at + 4 <= len(frame):
        marker, size = (int.from_bytes(frame[i : i + 2], "big") for i in (at, at + 2))
        if marker == end:
            return segments, at
        if marker < 0xFF01 or size < 2 or (marker in segments and marker not in HARMLESS):
            raise NotUnderstood("damaged segments")
        segments[marker] = frame[at + 4 : at + 2 + size]
        at += 2 + size
    raise NotUnderstood("no tile")


def _check_size(siz: bytes) -> tuple[int, int]:
    columns, rows, left, top, tile_width, tile_height, tile_left, tile_top = np.frombuffer(siz[2:34], ">u4").tolist()
    if left or top or tile_left or tile_top or tile_width < columns or tile_height < rows or not (rows and columns):
        raise NotUnderstood("several tiles, or an offset")
    if siz[34:36] != b"\x00\x01" or siz[37:39] != b"\x01\x01":
        raise NotUnderstood("several components, or a subsampled one")
    return rows, columns


def _check_style(cod: bytes) -> tuple[int, int]:
    layers, levels, width, height = int.from_bytes(cod[2:4], "big"), cod[5], cod[6] + 2, cod[7] + 2
    if cod[0] > 7 or cod[1] > CPRL or not layers or levels > 32:
        raise NotUnderstood("an unusual coding style")
    if max(width, height) > 10 or width + height > 12 or cod[8] & SEVERAL_SEGMENTS:
        raise NotUnderstood("unusual code blocks")
    return layers, levels


def _precincts(cod: bytes, levels: int) -> tuple[tuple[int, int], ...]:
    if not cod[0] & 1:
        return ((15, 15),) * (levels + 1)
    sizes = cod[10 : 11 + levels]
    if len(sizes) < levels + 1 or any(not (size & 15 and size >> 4) for size in sizes[1:]):
        raise NotUnderstood("damaged precinct sizes")
    return tuple((size & 15, size >> 4) for size in sizes)


def _body(frame: bytes, at: int) -> np.ndarray:
    """The packets of the only tile; of several tile-parts, joined."""
    data, parts = np.frombuffer(frame, np.uint8), []
    while frame[at : at + 2] == b"\xff\x90":
        tile, size = int.from_bytes(frame[at + 4 : at + 6], "big"), int.from_bytes(frame[at + 6 : at + 10], "big")
        end = at + size if size else frame.rfind(b"\xff\xd9")
        segments, start = _tile_segments(frame, at + 12)
        if tile or segments - HARMLESS or not start <= end <= len(frame):
            raise NotUnderstood("several tiles, or unusual tile segments")
        parts.append(data[start:end])
        at = end
    if frame[at : at + 2] != b"\xff\xd9":
        raise NotUnderstood("no end of the codestream")
    body = parts[0] if len(parts) == 1 else np.concatenate(parts)
    body.flags.writeable = False  # numba would compile again for the other kind
    return body


def _tile_segments(frame: bytes, at: int) -> tuple[set[int], int]:
    """The markers of a tile-part's header, and where its packets start."""
    markers: set[int] = set()
    while at + 2 <= len(frame):
        marker, size = (int.from_bytes(frame[i : i + 2], "big") for i in (at, at + 2))
        if marker == SOD:
            return markers, at + 2
        if marker < 0xFF01 or size < 2:
            break
        markers.add(marker)
        at += 2 + size
    raise NotUnderstood("a damaged tile header")
