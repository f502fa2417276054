"""Stored values are pydicom's, for every codec, every decoder and every real file at hand."""

from __future__ import annotations

import contextlib
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import ENCAPSULATED, LOSSLESS, breast, encode, write_dicom

from rsna.errors import ImageError
from rsna.imaging import CHAINS, read_dicom
from rsna.imaging.container import parse_dicom
from rsna.imaging.decoders import DECODERS, _as_stored, decode
from rsna.imaging.stream import Codec

PYDICOM_FILES = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))


def reference(path: Path) -> np.ndarray | None:
    """pydicom's array of a single grey frame; None where there is none, or pydicom cannot read it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path)
            pixels = dataset.pixel_array
        except Exception:
            return None
    return pixels if pixels.ndim == 2 and dataset.PhotometricInterpretation.startswith("MONOCHROME") else None


def check_against_pydicom(path: Path) -> None:
    """Equal where pydicom reads a single grey frame; else an image or a clear error."""
    expected = reference(path)
    if expected is None:
        with contextlib.suppress(ImageError):
            read_dicom(path)
        return
    image = read_dicom(path)
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.pixels.dtype == expected.dtype.newbyteorder("=")
    assert image.decoder in DECODERS


def test_equals_pydicom_on_the_real_files(shared_data: Path) -> None:
    files = sorted((shared_data / "dicom").glob("*.dcm"))
    assert sum(reference(path) is not None for path in files) >= 20
    for path in files:
        check_against_pydicom(path)


def test_refuses_the_real_file_that_pydicom_cannot_read(shared_data: Path) -> None:
    with pytest.raises(ImageError, match=r"RG2_JPLY.dcm: the scan header of the sequential JPEG stream is invalid"):
        read_dicom(shared_data / "dicom" / "RG2_JPLY.dcm")


@pytest.mark.parametrize("path", PYDICOM_FILES, ids=lambda path: path.name)
def test_equals_pydicom_on_its_own_files(path: Path) -> None:
    check_against_pydicom(path)


@pytest.mark.parametrize("codec", LOSSLESS)
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_round_trip(tmp_path: Path, codec: str, bits: int) -> None:
    pixels = breast(top=2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16)
    image = read_dicom(write_dicom(tmp_path / "a.dcm", pixels, codec, bits))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.header.bits_stored == bits


@pytest.mark.parametrize("codec", ["raw", "rle", "sv1", "j2k"])
@pytest.mark.parametrize("signed_stream", [True, False])
def test_signed_values(tmp_path: Path, codec: str, signed_stream: bool) -> None:
    values = breast().astype(np.int16) - 1500
    as_unsigned = values.view(np.uint16) & 0x0FFF  # 12 bits of two's complement, as a stream without a sign has them
    if codec == "raw":
        path = write_dicom(tmp_path / "a.dcm", values if signed_stream else as_unsigned, bits=12, PixelRepresentation=1)
    else:
        signed_stream = signed_stream and codec == "j2k"
        frame = encode(values if signed_stream else as_unsigned, codec, 12)
        path = write_dicom(tmp_path / "a.dcm", values, codec, 12, frame)
    np.testing.assert_array_equal(read_dicom(path).pixels, values)
    np.testing.assert_array_equal(reference(path), values)


@pytest.mark.parametrize("codec", ENCAPSULATED)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_every_decoder_returns_the_same(tmp_path: Path, codec: str, bits: int) -> None:
    if codec in ("jpeg", "jpeg12"):
        bits = {"jpeg": 8, "jpeg12": 12}[codec]
    pixels = breast(96, 80, top=2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16)
    file = parse_dicom(write_dicom(tmp_path / "a.dcm", pixels, codec, bits).read_bytes())
    expected, _ = decode(file)
    lossy = codec in ("jpeg", "jpeg12")  # decoders round differently
    for name in CHAINS[file.stream.codec]:
        if not is_installed(name, file.stream.codec):
            continue
        decoded = _as_stored(DECODERS[name](file), file)
        assert np.abs(decoded.astype(int) - expected).max() <= (2 if lossy else 0), name


def is_installed(name: str, codec: Codec) -> object:
    """pylibjpeg reads JPEG by a GPL plug-in, which is an extra."""
    return name != "pylibjpeg" or not codec.value.endswith(("JPEG", "Lossless", "LS")) or find_spec("libjpeg")


@pytest.mark.parametrize("name", CHAINS[Codec.JPEG_2000])
def test_the_precision_is_the_streams(tmp_path: Path, name: str) -> None:
    pixels = breast()
    frame = encode(pixels, "j2k", 12)
    file = parse_dicom(
        write_dicom(tmp_path / "a.dcm", pixels, "j2k", 16, frame).read_bytes()
    )  # a header that exaggerates
    np.testing.assert_array_equal(_as_stored(DECODERS[name](file), file), pixels)


def test_pillow_reads_signed_jpeg_2000(tmp_path: Path) -> None:
    values = breast().astype(np.int16) - 1500
    file = parse_dicom(write_dicom(tmp_path / "a.dcm", values, "j2k", 13).read_bytes())
    np.testing.assert_array_equal(DECODERS["pillow"](file), values)


def test_the_codec_is_what_the_bytes_say(tmp_path: Path) -> None:
    pixels = breast()
    for codec, claimed in (("sv1", "j2k"), ("j2k", "sv1"), ("j2k", "rle")):
        path = write_dicom(tmp_path / "a.dcm", pixels, claimed, 12, frame=encode(pixels, codec, 12))
        np.testing.assert_array_equal(read_dicom(path).pixels, pixels)


def test_reads_a_file_without_preamble(tmp_path: Path) -> None:
    pixels = breast()
    path = write_dicom(tmp_path / "a.dcm", pixels, "sv1", 12, preamble=False)
    np.testing.assert_array_equal(read_dicom(path).pixels, pixels)


def test_joins_the_fragments_of_a_frame(tmp_path: Path) -> None:
    from pydicom.encaps import encapsulate

    pixels = breast()
    split = encapsulate([encode(pixels, "j2k", 12)], fragments_per_frame=3)
    path = write_dicom(tmp_path / "a.dcm", pixels, "j2k", 12)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = split
    dataset.save_as(path)
    np.testing.assert_array_equal(read_dicom(path).pixels, pixels)


def test_the_next_decoder_takes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = breast()
    path = write_dicom(tmp_path / "a.dcm", pixels, "j2k", 12)
    assert read_dicom(path).decoder == "imagecodecs"
    monkeypatch.setitem(sys.modules, "imagecodecs", None)  # as if it were not installed
    image = read_dicom(path)
    assert image.decoder == "pillow"
    np.testing.assert_array_equal(image.pixels, pixels)


def test_lists_why_each_decoder_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = breast()
    frame = bytearray(encode(pixels, "sv1", 12))
    start = frame.index(b"\xff\xc4")  # a Huffman table that no decoder can use
    frame[start + 4 : start + 24] = bytes([0xFF] * 20)
    monkeypatch.setitem(DECODERS, "gdcm", lambda file: pixels[:10])  # a decoder that returns another size
    with pytest.raises(ImageError, match="no decoder could read the JPEG Lossless data") as caught:
        read_dicom(write_dicom(tmp_path / "a.dcm", pixels, "sv1", 12, frame=bytes(frame)))
    for name in CHAINS[Codec.JPEG_LOSSLESS]:
        assert f"{name}: " in caught.value.reason
    assert "returned uint16 of shape (10, 160)" in caught.value.reason


def test_dicomsdl_may_abort_without_taking_the_process_with_it(tmp_path: Path) -> None:
    file = parse_dicom(write_dicom(tmp_path / "a.dcm", breast(), "sv1", 12).read_bytes())
    np.testing.assert_array_equal(DECODERS["dicomsdl"](file), breast())
    broken = write_dicom(tmp_path / "b.dcm", breast(), Rows=65000, Columns=65000)
    hostile = type(file)(file.header, file.stream, file.frame, broken.read_bytes())
    with pytest.raises(ValueError, match=r"crashed|Exception|rror"):
        DECODERS["dicomsdl"](hostile)
    assert "dicomsdl" not in sys.modules
