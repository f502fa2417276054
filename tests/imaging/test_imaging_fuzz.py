"""Bounded fuzzing: whatever a file holds, the outcome is a picture or a reason, never another exception."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dicom_files import breast, write_dicom
from fuzz_tasks import SPEC, load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rsna.imaging import DecodePool

pytestmark = pytest.mark.fuzz
BOUNDED = settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
UNFORESEEN = re.compile(r"^\w*(Error|Exception): |crashed|longer")


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(load, workers=1, time_limit=60, memory_limit=2**31) as running:
        yield running


def check(pool: DecodePool, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    (outcome,) = pool.map([path])
    if outcome.error is None:
        assert outcome.value.shape == (SPEC.height, SPEC.width)
        assert outcome.value.dtype == np.uint8
    else:
        assert not UNFORESEEN.search(outcome.error), outcome.error


@pytest.mark.parametrize("codec", ["raw", "rle", "sv1", "jpegls", "j2k", "jp2"])
@BOUNDED
@given(data=st.data())
def test_changed_bytes(pool: DecodePool, tmp_path: Path, codec: str, data: st.DataObject) -> None:
    window = {"WindowCenter": [1500, 9], "WindowWidth": [3000, 9]}
    content = bytearray(write_dicom(tmp_path / "a.dcm", breast(64, 48), codec, 12, **window).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(128, len(content) - 1) | st.integers(128, 900))
        content[at] = data.draw(st.integers(0, 255))
    check(pool, tmp_path / "b.dcm", bytes(content))


@pytest.mark.parametrize("codec", ["raw", "rle", "sv1", "jpegls", "j2k", "jp2"])
@BOUNDED
@given(data=st.data())
def test_cut_and_repeated_bytes(pool: DecodePool, tmp_path: Path, codec: str, data: st.DataObject) -> None:
    content = write_dicom(tmp_path / "a.dcm", breast(64, 48), codec, 12).read_bytes()
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(content)), st.integers(0, len(content)))))
    changed = data.draw(
        st.sampled_from([content[:start] + content[end:], content[:end] + content[start:], content[start:end]])
    )
    check(pool, tmp_path / "b.dcm", changed)


@BOUNDED
@given(content=st.binary(max_size=2000), prefix=st.sampled_from([b"", bytes(128) + b"DICM", b"\x89PNG\r\n\x1a\n"]))
def test_any_bytes(pool: DecodePool, tmp_path: Path, content: bytes, prefix: bytes) -> None:
    check(pool, tmp_path / "b.dcm", prefix + content)
