"""Every bad file gives one clear line that names it, and no picture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import ENCAPSULATED, breast, encode, table, write_dicom

from rsna.config import ImagingSpec
from rsna.errors import ImageError
from rsna.imaging import load_image, read_dicom

SPEC = ImagingSpec(height=64, width=32)
PIXELS = breast()
ITEM = b"\xfe\xff\x00\xe0"
EMPTY_TABLE = ITEM + bytes(4)
EIGHT_BIT = breast(top=250).astype(np.uint8)


def refused(path: Path, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        load_image(path, SPEC)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.dcm", "No such file")


def test_dangling_link(tmp_path: Path) -> None:
    link = tmp_path / "link.dcm"
    link.symlink_to(tmp_path / "none.dcm")
    refused(link, "a link to a file that does not exist")


def test_folder(tmp_path: Path) -> None:
    refused(tmp_path, "a folder")


def test_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    refused(tmp_path / "pipe.dcm", "not a regular file")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"patient_id,image_id\n1,2\n" * 50, "not a DICOM file"),
        (bytes(range(256)) * 40, "not a DICOM file"),
        (b"\x89PNG\r\n\x1a\nrest", "truncated: the PNG file has no end"),
        (bytes(128) + b"DICM", "no pixel data"),
    ],
)
def test_other_content(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    refused(path, reason)


@pytest.mark.parametrize("codec", ["raw", "rle", "sv1", "j2k"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_truncated_file(tmp_path: Path, codec: str, share: float) -> None:
    path = write_dicom(tmp_path / "a.dcm", PIXELS, codec, 12)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "truncated")


def bits_of(codec: str) -> tuple[np.ndarray, int]:
    return (EIGHT_BIT, 8) if codec == "jpeg" else (PIXELS, 12)


@pytest.mark.parametrize("codec", ENCAPSULATED)
@pytest.mark.parametrize("missing", [3, 40, 1000])
@pytest.mark.parametrize("zeros", [False, True], ids=["cut", "zero-tailed"])
def test_stream_that_ends_early_in_a_complete_file(tmp_path: Path, codec: str, missing: int, zeros: bool) -> None:
    if codec == "rle" and zeros and missing < 1000:
        pytest.skip("RLE has no end: zeros are runs, as long as there are enough of them")
    pixels, bits = bits_of(codec)
    frame = encode(pixels, codec, bits)
    short = frame[:-missing] + bytes(missing if zeros else 0)
    path = write_dicom(tmp_path / "a.dcm", pixels, codec, bits, frame=short)
    refused(path, "ends early|no decoder could read")


@pytest.mark.parametrize("codec", ["jpegls", "sv1", "j2k", "jp2"])
def test_stream_with_padding_is_complete(tmp_path: Path, codec: str) -> None:
    frame = encode(PIXELS, codec, 12)
    path = write_dicom(tmp_path / "a.dcm", PIXELS, codec, 12, frame=frame + bytes(4))
    np.testing.assert_array_equal(read_dicom(path).pixels, PIXELS)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Rows": 65000, "Columns": 65000}, "an absurd size in the header: 65000x65000"),
        ({"Rows": 0}, "an absurd size"),
        ({"Rows": 193}, "truncated: the pixel data has 61440 of 61760 bytes"),
        ({"Rows": None}, "no Rows"),
        ({"BitsAllocated": 12}, "12 bits stored in 12|16 bits stored in 12"),
        ({"BitsStored": 20}, "20 bits stored in 16"),
        ({"PixelData": b""}, "the pixel data is empty"),
        ({"PixelData": None}, "no pixel data"),
        ({"NumberOfFrames": 3}, "a multi-frame image"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "a colour image"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "a colour image"),
        ({"PhotometricInterpretation": None}, "no PhotometricInterpretation"),
        ({"WindowCenter": 100, "WindowWidth": 0}, "an invalid window for LINEAR: center 100, width 0"),
        ({"WindowCenter": 100, "WindowWidth": -5, "VOILUTFunction": "SIGMOID"}, "an invalid window for SIGMOID"),
        ({"WindowCenter": 100, "WindowWidth": 9, "VOILUTFunction": "CUBIC"}, "an unknown VOI LUT function"),
        ({"VOILUTSequence": table(0, 33, np.arange(9))}, "33 bits an entry"),
    ],
)
def test_headers(tmp_path: Path, attributes: dict[str, object], reason: str) -> None:
    refused(write_dicom(tmp_path / "a.dcm", PIXELS, bits=16, **attributes), reason)


@pytest.mark.parametrize("codec", ["sv1", "j2k", "jpegls"])
@pytest.mark.parametrize("rows", [64, 256, 11000])
def test_header_and_stream_disagree(tmp_path: Path, codec: str, rows: int) -> None:
    path = write_dicom(tmp_path / "a.dcm", PIXELS, codec, 12, Rows=rows)
    refused(path, f"stream is 192x160 pixels, the header says {rows}x160")


def test_stream_of_more_bits_than_the_header_allows(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PIXELS, "j2k", 12, BitsAllocated=8, BitsStored=8, HighBit=7)
    refused(path, "12 bits a sample, the header 8")


def test_colour_components_in_the_stream(tmp_path: Path) -> None:
    colour = np.stack([EIGHT_BIT] * 3, axis=-1)
    for codec in ("jpeg", "j2k"):
        refused(
            write_dicom(tmp_path / "a.dcm", EIGHT_BIT, codec, frame=encode(colour, codec, 8)), "3 colour components"
        )


@pytest.mark.parametrize("size", [(0, 1), (1, 0), (1, 1), (0xFFFFFFFF, 0)], ids=str)
def test_absurd_tiles(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = breast(600, 400)
    frame = bytearray(encode(pixels, "j2k", 12))
    at = frame.index(b"\xff\x51") + 22  # XTsiz, YTsiz
    frame[at : at + 8] = b"".join(side.to_bytes(4, "big") for side in size)
    refused(write_dicom(tmp_path / "a.dcm", pixels, "j2k", 12, frame=bytes(frame)), "absurd tiles")


@pytest.mark.parametrize("value", [0, 4095])
def test_all_pixels_equal(tmp_path: Path, value: int) -> None:
    refused(write_dicom(tmp_path / "a.dcm", np.full_like(PIXELS, value)), "all pixels are equal")


def test_broken_number(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PIXELS, WindowCenter=1000, WindowWidth=2000)
    path.write_bytes(path.read_bytes().replace(b"1000", b"10x0"))
    refused(path, "WindowCenter cannot be read|WindowCenter is not a number")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (EMPTY_TABLE + b"\x01\x02\x03\x04" * 10, "not encapsulated as DICOM says"),
        (EMPTY_TABLE + ITEM + b"\x08\x00\x00\x00MPEG\x00\x00\x00\x00", "neither sound RLE nor JPEG"),
    ],
)
def test_wrong_encapsulation(tmp_path: Path, data: bytes, reason: str) -> None:
    path = write_dicom(tmp_path / "a.dcm", PIXELS, "sv1", 12)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = data
    dataset.save_as(path)
    refused(path, reason)
