"""Our own decoder of lossless JPEG returns what libjpeg returns, whatever the tables and the samples are."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from dicom_files import breast, encode, write_dicom
from hypothesis import given, settings
from hypothesis import strategies as st

from rsna.imaging import load
from rsna.imaging.lossless import decode_lossless

pytest.importorskip("numba")
LENGTHS = (2, 3, 3, 3, *range(4, 17))  # of the codes of 17 sizes of differences, some longer than any look-up


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data


def write_jpeg(pixels: np.ndarray, precision: int, order: list[int]) -> bytes:
    """A stream whose codes get longer in this order of the sizes of differences; bit by bit, as T.81 says it."""
    codes, code, last = {}, 0, LENGTHS[0]
    for size, length in zip(order, LENGTHS, strict=True):
        code, last = code << (length - last), length
        codes[size] = format(code, f"0{length}b")
        code += 1
    values = pixels.astype(np.int64)
    predicted = np.concatenate([np.vstack([[[1 << (precision - 1)]], values[:-1, :1]]), values[:, :-1]], axis=1)
    bits = []
    for value in ((values - predicted) % 65536).ravel().tolist():
        difference = value - 65536 if value > 32768 else value
        size = abs(difference).bit_length()
        behind = difference if difference > 0 else difference + (1 << size) - 1
        bits += [codes[size], format(behind, f"0{size}b") if 0 < size < 16 else ""]
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    data = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    rows, columns = pixels.shape
    frame = bytes([precision]) + rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + b"\1\1\x11\0"
    table = b"\0" + bytes(LENGTHS.count(length) for length in range(1, 17)) + bytes(order)
    head = segment(0xC3, frame) + segment(0xC4, table) + segment(0xDA, b"\1\1\0\1\0\0")
    return b"\xff\xd8" + head + data + b"\xff\xd9"


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 90),
    precision=st.integers(2, 16),
    order=st.permutations(range(17)),
    noise=st.sampled_from([0, 0.001, 0.05, 1]),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=80, derandomize=True)
def test_any_samples_and_tables(
    rows: int, columns: int, precision: int, order: list[int], noise: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    top = 2**precision - 1
    pixels = np.where(random.random((rows, columns)) < noise, random.integers(0, top + 1, (rows, columns)), 0)
    pixels[random.random((rows, columns)) < noise / 8] = top
    stream = write_jpeg(pixels.astype(np.uint16), precision, order)
    np.testing.assert_array_equal(decode_lossless(stream), pixels)
    np.testing.assert_array_equal(imagecodecs.jpeg_decode(stream), pixels)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_what_libjpeg_writes(bits: int) -> None:
    pixels = breast(top=2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16)
    stream = imagecodecs.jpeg_encode(pixels, lossless=True, predictor=1, bitspersample=bits)
    np.testing.assert_array_equal(decode_lossless(stream), pixels)


@given(place=st.floats(0, 1), value=st.integers(0, 255), keep=st.floats(0, 1))
@settings(deadline=None, max_examples=300, derandomize=True)
def test_a_damaged_stream_is_an_error_or_a_picture_of_its_size(place: float, value: int, keep: float) -> None:
    stream = bytearray(encode(breast(64, 48), "sv1", 12))
    stream[2 + int(place * (len(stream) - 3))] = value
    try:
        pixels = decode_lossless(bytes(stream[: int(keep * len(stream))]) + b"\xff\xd9")
    except ValueError:
        return
    assert pixels.dtype == np.uint16
    assert pixels.ndim == 2


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_stream_that_ends_early_is_an_error(share: float) -> None:
    stream = encode(breast(), "sv1", 12)
    with pytest.raises(ValueError, match="ends early"):
        decode_lossless(stream[: int(share * len(stream))].rstrip(b"\xff") + b"\xff\xd9")


def test_markers_within_the_scan_are_an_error() -> None:
    stream = encode(breast(), "sv1", 12)
    middle = len(stream) // 2
    with pytest.raises(ValueError, match="markers"):
        decode_lossless(stream[:middle] + b"\xff\xd0" + stream[middle:])


@pytest.mark.parametrize("predictor", [2, 4, 7])
def test_other_predictors_go_to_the_next_decoder(predictor: int, tmp_path: Path) -> None:
    pixels = breast()
    stream = bytes(imagecodecs.jpeg_encode(pixels, lossless=True, predictor=predictor, bitspersample=12))
    with pytest.raises(ValueError, match="predictor 1"):
        decode_lossless(stream)
    image = load.read_image(write_dicom(tmp_path / "a.dcm", pixels, "sv1", 12, frame=stream))
    assert image.decoder == "imagecodecs"
    np.testing.assert_array_equal(image.pixels, pixels)


def test_it_is_the_first_choice(tmp_path: Path) -> None:
    pixels = breast()
    image = load.read_image(write_dicom(tmp_path / "a.dcm", pixels, "sv1", 12))
    assert image.decoder == "rsna"
    np.testing.assert_array_equal(image.pixels, pixels)
