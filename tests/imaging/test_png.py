"""Grey PNG files."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsna.errors import ImageError
from rsna.imaging import read_png, write_png


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_round_trip(tmp_path: Path, kind: type) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (33, 17), endpoint=True).astype(kind)
    write_png(tmp_path / "deep" / "a.png", pixels)
    back = read_png(tmp_path / "deep" / "a.png")
    np.testing.assert_array_equal(back, pixels)
    assert back.dtype == kind
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32), np.zeros(4, np.uint8)])
def test_refuses_what_a_grey_png_cannot_hold(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a grey PNG holds"):
        write_png(tmp_path / "a.png", pixels)


def test_bad_files(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_png(path, np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))
    content = path.read_bytes()
    header = b"IHDR" + (65000).to_bytes(4, "big") * 2 + content[24:29]
    cases = {
        "truncated": content[: len(content) // 2],
        "not a PNG": b"\xff\xd8" + content,
        "an empty file": b"",
        "absurd size": content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:],
        "colour": cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes(),
    }
    for reason, bad in cases.items():
        path.write_bytes(bad)
        with pytest.raises(ImageError, match=reason):
            read_png(path)
    path.unlink()
    with pytest.raises(ImageError, match=r"a\.png: No such file"):
        read_png(path)


def test_damaged_data(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_png(path, np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))
    content = bytearray(path.read_bytes())
    content[60:2000] = bytes(1940)
    path.write_bytes(content)
    with pytest.raises(ImageError, match="damaged"):
        read_png(path)
