"""DICOM files whose header says anything: a picture or a reason, never another exception, a crash or a hang.

Bytes of whole files are damaged in `tests/imaging/test_imaging_fuzz.py`; here, single elements are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn
from mutations import FUZZED, checked, damaged

from rsna.config import RoiSpec
from rsna.imaging import DecodePool, find_region

sys.path.append(str(Path(__file__).resolve().parents[1] / "imaging"))
from dicom_files import SYNTAXES, breast, write_dicom
from fuzz_tasks import SPEC, load

pytestmark = pytest.mark.fuzz
UNFORESEEN = re.compile(r"^\w*(Error|Exception): |crashed|longer")
SHORT = st.one_of(st.sampled_from([0, 1, 2, 7, 8, 12, 16, 17, 32, 64, 255, 4096, 65535]), st.integers(0, 65535))
DECIMAL = st.one_of(
    st.sampled_from(["", "0", "-1", "1e308", "-1e308", "1e-308", "nan", "inf", "x", "1\\2\\3", "1" * 16, " 7 "]),
    st.floats(-1e6, 1e6).map(lambda number: f"{number:.4g}"),
)
WORDS = st.sampled_from(["", "MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "SIGMOID", "LINEAR_EXACT", "x" * 16])
UIDS = st.sampled_from([*SYNTAXES.values(), "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.201", "1.2.3", ""])
FIELDS: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    **dict.fromkeys(("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"), ("US", SHORT)),
    **dict.fromkeys(("PixelRepresentation", "SamplesPerPixel", "PlanarConfiguration"), ("US", SHORT)),
    **dict.fromkeys(("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"), ("DS", DECIMAL)),
    **dict.fromkeys(("PhotometricInterpretation", "VOILUTFunction"), ("CS", WORDS)),
    "NumberOfFrames": ("IS", DECIMAL),
}


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(load, workers=1, time_limit=60, memory_limit=2**31) as running:
        yield running


def check(pool: DecodePool, path: Path) -> None:
    (result,) = pool.map([path])
    if result.error is None:
        assert result.value.shape == (SPEC.height, SPEC.width)
        assert result.value.dtype == np.uint8
    else:
        assert result.error
        assert not UNFORESEEN.search(result.error), result.error
        assert "\n" not in result.error


def set_element(dataset: pydicom.Dataset, name: str, kind: str, value: Any) -> None:
    """Write what pydicom would refuse to: the bytes of a value as they are."""
    tag = pydicom.tag.Tag(name)
    content = int(value).to_bytes(2, "little") if kind == "US" else str(value).encode()
    padded = content + b" " * (len(content) % 2)
    dataset[tag] = pydicom.dataelem.RawDataElement(tag, kind, len(padded), padded, 0, False, True)


@pytest.mark.parametrize("codec", SYNTAXES)
@FUZZED
@given(data=st.data())
def test_altered_elements(pool: DecodePool, tmp_path: Path, codec: str, data: st.DataObject) -> None:
    bits = 8 if codec == "jpeg" else 12
    pixels = breast(64, 48, top=200 if bits == 8 else 3000)
    window = {"WindowCenter": [1500, 9], "WindowWidth": [3000, 9]}
    write_dicom(tmp_path / "a.dcm", pixels.astype(np.uint8) if bits == 8 else pixels, codec, bits, **window)
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    for name in data.draw(st.lists(st.sampled_from([*FIELDS, "syntax", "gone", "frame"]), min_size=1, max_size=3)):
        if name == "syntax":
            dataset.file_meta.TransferSyntaxUID = data.draw(UIDS)
        elif name == "gone":
            element = data.draw(st.sampled_from(sorted(FIELDS)))
            if element in dataset:
                del dataset[element]
        elif name == "frame":
            dataset["PixelData"]._value = data.draw(damaged(bytes(dataset["PixelData"].value)))
        else:
            set_element(dataset, name, FIELDS[name][0], data.draw(FIELDS[name][1]))
    try:
        pydicom.dcmwrite(tmp_path / "b.dcm", dataset, implicit_vr=codec == "implicit", little_endian=True)
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError):  # what cannot be written cannot be met
        return
    check(pool, tmp_path / "b.dcm")


ARRAYS = hn.arrays(
    st.sampled_from([np.uint8, np.uint16, np.int16, np.int32, np.uint32, np.float32, np.int8]),
    st.tuples(st.sampled_from([1, 2, 3, 17, 64, 700]), st.sampled_from([1, 2, 3, 17, 64, 700])),
    fill=st.integers(0, 100),
    elements=st.integers(0, 100),
)


@FUZZED
@given(image=ARRAYS, method=st.sampled_from(["none", "threshold", "otsu"]), inverted=st.booleans())
def test_the_region_of_any_array_lies_in_it(image: np.ndarray, method: Any, inverted: bool) -> None:
    box = checked(lambda: find_region(image, RoiSpec(method=method), inverted))
    assert 0 <= box.top < box.bottom <= image.shape[0]
    assert 0 <= box.left < box.right <= image.shape[1]
