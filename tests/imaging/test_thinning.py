"""Thinned JPEG 2000 streams: stock decoders agree on them, and they hold what they should."""

from __future__ import annotations

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from dicom_files import breast
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rsna.imaging.codestream import NotUnderstood, parse_codestream, resolution_levels
from rsna.imaging.container import parse_dicom
from rsna.imaging.packet_layout import lay_out
from rsna.imaging.stream import Codec
from rsna.imaging.thinning import thin

pytest.importorskip("numba")
BITS = 12


def encode(pixels: np.ndarray, **options: object) -> bytes:
    """A codestream by OpenJPEG through Pillow, which has the options, or by imagecodecs where there are none."""
    if not options:
        return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, bitspersample=BITS, codecformat="j2k"))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG2000", irreversible=False, no_jp2=True, **options)
    return buffer.getvalue()


def reduced(stream: bytes, halvings: int) -> np.ndarray:
    """Pillow's own reduction."""
    with Image.open(io.BytesIO(stream)) as image:
        image.reduce = halvings
        return np.asarray(image)


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    halvings=st.integers(0, 5),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=60, derandomize=True)
def test_any_size_decodes_to_the_wavelets_own_low_pass(height: int, width: int, halvings: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 2**BITS, (height, width)).astype(np.uint16)
    stream = encode(pixels)
    if halvings > resolution_levels(stream):
        assert thin(stream, halvings, 0) is None
        return
    small = imagecodecs.jpeg2k_decode(thin(stream, halvings, 0)).reshape(-(-height >> halvings), -(-width >> halvings))
    expected = pixels.astype(np.int64) - 2 ** (BITS - 1)
    for _ in range(halvings):
        expected = low_pass(low_pass(expected, 0), 1)
    np.testing.assert_array_equal(small, (expected + 2 ** (BITS - 1)).clip(0, 2**BITS - 1))


def low_pass(values: np.ndarray, axis: int) -> np.ndarray:
    """The reversible 5/3 low-pass of one axis, by ISO/IEC 15444-1 F.4.8.1."""
    x = np.moveaxis(values, axis, 0)
    size = len(x)
    if size == 1:
        return values

    def at(n: np.ndarray) -> np.ndarray:
        n = np.abs(n)
        return x[np.where(n >= size, 2 * (size - 1) - n, n)]

    def high(n: np.ndarray) -> np.ndarray:
        return at(2 * n + 1) - (at(2 * n) + at(2 * n + 2)) // 2

    n = np.arange((size + 1) // 2)
    before = np.where((n == 0).reshape(-1, *[1] * (x.ndim - 1)), high(np.zeros_like(n)), high(np.maximum(n - 1, 0)))
    after = high(np.minimum(n, (size - 2) // 2))
    return np.moveaxis(at(2 * n) + (before + after + 2) // 4, 0, axis)


KINDS = {
    "LRCP": {"progression": "LRCP"},
    "RLCP": {"progression": "RLCP"},
    "RPCL": {"progression": "RPCL"},
    "PCRL": {"progression": "PCRL"},
    "CPRL": {"progression": "CPRL"},
    "small blocks": {"codeblock_size": (16, 8)},
    "precincts": {"precinct_size": (128, 64), "progression": "RPCL"},
    "precincts by layer": {"precinct_size": (64, 64), "progression": "LRCP"},
    "layers": {"quality_mode": "rates", "quality_layers": [40, 10, 2, 1]},
    "layers by resolution": {"quality_mode": "rates", "quality_layers": [40, 10, 1], "progression": "RLCP"},
    "two resolutions": {"num_resolutions": 2},
    "one resolution": {"num_resolutions": 1},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_stream_that_is_understood(kind: str) -> None:
    pixels = breast(512, 384, top=60000)
    stream = encode(pixels, **KINDS[kind])
    for halvings in range(min(4, resolution_levels(stream) + 1)):
        thinned = thin(stream, halvings, 0)
        assert thinned is not None
        np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(thinned), reduced(stream, halvings))


@pytest.mark.parametrize(
    "options",
    [{"tile_size": (128, 128)}, {"precinct_size": (64, 64), "progression": "PCRL"}],
    ids=str,
)
def test_other_kinds_are_left_as_they_are(options: dict[str, object]) -> None:
    assert thin(encode(breast(512, 384), **options), 1, 3) is None


@pytest.mark.parametrize("planes", [1, 2, 4, 6])
@pytest.mark.parametrize("halvings", [0, 1, 2])
def test_error_of_missing_planes_is_bounded(planes: int, halvings: int) -> None:
    stream = encode(breast(700, 500, top=4000))
    full, thinned = (imagecodecs.jpeg2k_decode(thin(stream, halvings, n)).astype(int) for n in (0, planes))
    error = np.abs(full - thinned)
    assert 0 < error.mean() <= 0.3 * 2**planes
    assert error.max() <= 4 * 2**planes
    assert abs((full - thinned).mean()) <= 0.06 * 2**planes  # no bias


@pytest.mark.parametrize("halvings", [0, 2])
def test_all_decoders_read_the_same(halvings: int) -> None:
    import openjpeg

    thinned = thin(encode(breast(300, 200)), halvings, 3)
    first = imagecodecs.jpeg2k_decode(thinned)
    np.testing.assert_array_equal(reduced(thinned, 0) >> (16 - BITS), first)
    np.testing.assert_array_equal(openjpeg.decode(thinned), first)


def test_lossy_streams_keep_their_planes() -> None:
    pixels = breast(300, 200)
    stream = bytes(imagecodecs.jpeg2k_encode(pixels, level=45, reversible=False, bitspersample=BITS, codecformat="j2k"))
    np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(thin(stream, 0, 5)), imagecodecs.jpeg2k_decode(stream))
    np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(thin(stream, 1, 5)), reduced(stream, 1) >> (16 - BITS))


@given(data=st.data())
@settings(deadline=None, max_examples=300, derandomize=True)
def test_damaged_streams_give_a_stream_or_nothing(data: st.DataObject) -> None:
    stream = bytearray(encode(breast(96, 80)))
    for _ in range(data.draw(st.integers(1, 5))):
        stream[data.draw(st.integers(0, 200) | st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(stream)))
    for damaged in (bytes(stream), bytes(stream[:end]), bytes(stream[:end]) + b"\xff\xd9"):
        result = thin(damaged, data.draw(st.integers(0, 3)), data.draw(st.integers(0, 4)))
        assert result is None or result.startswith(b"\xff\x4f\xff\x51")


def test_lies_about_sizes_take_no_memory() -> None:
    stream = encode(breast(96, 80))
    blocks = bytearray(stream)
    at = stream.index(b"\xff\x52")
    blocks[at + 10 : at + 12] = b"\0\0"  # code blocks of 4x4
    size = stream.index(b"\xff\x51") + 6
    for offset in (0, 4, 16, 20):
        blocks[size + offset : size + offset + 4] = (60000).to_bytes(4, "big")
    with pytest.raises(NotUnderstood, match="absurdly many"):
        lay_out(parse_codestream(bytes(blocks)))
    assert thin(bytes(blocks), 0, 0) is None


def test_real_files(shared_data: Path) -> None:
    understood = 0
    for path in sorted((shared_data / "dicom").glob("*.dcm")):
        try:
            file = parse_dicom(path.read_bytes())
        except ValueError:
            continue
        if file.stream.codec == Codec.JPEG_2000 and (thinned := thin(file.frame, 0, 0)):
            np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(thinned), imagecodecs.jpeg2k_decode(file.frame))
            understood += 1
    assert understood >= 4
