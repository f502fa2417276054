"""What fuzzing and thought have found so far: each once let another exception, a hang or a wrong value through."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mutations import checked
from test_archives_fuzz import zip_of

from rsna.config import InputSpec, ModelSpec, load
from rsna.config.training import TrainConfig
from rsna.data import inside
from rsna.errors import InputError
from rsna.io import read_json, read_text, read_yaml
from rsna.kernel import bootstrap, target, wheels
from rsna.local_kaggle.unpack import Unpacker, UnpackError
from rsna.models import create_model
from rsna.models.weights import read_header
from rsna.plain import parse_json, parse_yaml
from rsna.tables import Column, read_csv, read_parquet

ID, NUMBER = Column("id", "id"), Column("x", "float")


def label(value: object) -> str:
    """What a case is called."""
    return ascii(value)[:30]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[NaN]", "NaN is not JSON compliant"),
        ("[-Infinity]", "-Infinity is not JSON compliant"),
        ("1e999", "'1e999' is out of range"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is there twice"),
        ('"\\ud800"', "surrogates not allowed"),
        ('{"\\udfff": 1}', "surrogates not allowed"),
        ("9" * 4000, "hundreds of digits"),
        ("9" * 5000, "not valid JSON"),
        ("[" * 65 + "1" + "]" * 65, "more than 64 deep"),
        ('{"a":' * 100_000, "recursion"),
    ],
    ids=label,
)
def test_json(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_json(text, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x", "YAML aliases"),
        ("a: 1\na: 2", "the key 'a' is there twice"),
        ("a: .inf", "not finite"),
        ("a: 1.0e+999", "not finite"),
        ("a: !!binary aGk=", "constructor"),
        ("a: !!set {b, c}", "constructor"),
        ("<<: {a: 1}", "constructor"),
        ("? [a]\n: 1", "unhashable"),
        ("1" + ":1" * 400_000, "digits"),
        ("0x" + "f" * 1000, "digits"),
        ("- " * 70 + "1", "deep"),
        ("[" + "a," * 30_000 + "]", "more than 20000 values"),
    ],
    ids=label,
)
def test_yaml(text: str, message: str) -> None:
    """In a moment, too: a number to the base of 60 took a time that grew with the square of its length."""
    start = time.process_time()
    with pytest.raises(InputError, match=message):
        parse_yaml(text, "x")
    assert time.process_time() - start < 30


def test_a_date_stays_text() -> None:
    assert parse_yaml("{a: 2024-01-01, b: =, c: 1.5, d: 010}", "x") == {"a": "2024-01-01", "b": "=", "c": 1.5, "d": 8}


@pytest.mark.parametrize("value", [10**5000, -(10**5000), 10**400, float("inf")], ids=["huge", "tiny", "big", "inf"])
@pytest.mark.parametrize("key", ["lr", "name", "options", "weight_decay"])
def test_huge_numbers_in_a_configuration(key: str, value: float) -> None:
    """Their own error could not be written: an integer of thousands of digits has no text."""
    mapping = {"name": "x", "competition": {}, "scheduler": {"name": "constant", "unit": "epoch"}}
    mapping |= {"env": {"data": "d", "prepared": "p"}, "optimizer": {key: value}}
    with pytest.raises(InputError, match=f"optimizer.{key}"):
        load(TrainConfig, mapping)


@pytest.mark.parametrize("read", [read_text, read_json, read_yaml, read_parquet, lambda path: read_csv(path, [ID])])
def test_pipes_and_devices_are_not_read(tmp_path: Path, read: Callable[[Path], object]) -> None:
    """A pipe without a writer blocks whoever opens it."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, Path("a\0b"), Path("\ud800")):
        with pytest.raises(InputError, match="cannot read"):
            read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,x\n1,2,3\n", "Length of header"),
        (b"id,x\n1,1e300\n", "not a number"),
        (b"id,x\n1\0,1\n", "a NUL byte"),
        (b'id,x\n"1\n2",1\n', "control characters"),
        (b"id,id,x\n1,2,3\n", "unexpected column"),
        (b"id,x\n1," + b"9" * 2**21, "a line of more than 1 MB"),
        ("id,x\nä,1\n".encode("latin-1"), "not a CSV table"),
        ("id,x\n1,1\n".encode("utf-16"), "NUL byte"),
        (b"id,x\n" + b"1," + b"9" * 6000 + b"\n", "not a number"),
        (b",".join(b"c%d" % i for i in range(5000)), "more than 2000 columns"),
        (b"\n\r\n" + b"," * 900_000, "more than 2000 columns"),
    ],
    ids=label,
)
def test_csv(tmp_path: Path, content: bytes, message: str) -> None:
    for name, bytes_ in (("t.csv", content), ("t.csv.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(bytes_)
        with pytest.raises(InputError, match=message):
            checked_then_raised(lambda name=name: read_csv(tmp_path / name, [ID, NUMBER]))


def checked_then_raised(call: Callable[[], object]) -> None:
    """Check the form of the error, then let it go on."""
    checked(call)
    call()


def test_a_table_that_unpacks_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsna.tables.MAX_TABLE_BYTES", 2**20)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"id,x\n" + b"1,1\n" * 2**20))
    with pytest.raises(InputError, match="larger than 1 MB"):
        read_csv(tmp_path / "t.csv.gz", [ID, NUMBER])
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"id,x\n1,1\n")[:-4])
    with pytest.raises(InputError, match="cannot be unpacked"):
        read_csv(tmp_path / "t.csv.gz", [ID, NUMBER])


def test_a_table_of_too_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsna.tables.MAX_CELLS", 20)
    (tmp_path / "t.csv").write_bytes(b"id,x\n" + b"1,1\n" * 11)
    with pytest.raises(InputError, match="more than 10 rows"):
        read_csv(tmp_path / "t.csv", [ID, NUMBER])
    pd.DataFrame({"x": np.zeros(21)}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="21 rows of 1 columns"):
        read_parquet(tmp_path / "t.parquet")


def write_arrow(path: Path, *columns: pa.Array, names: list[str] | None = None, metadata: dict | None = None) -> Path:
    schema = pa.schema(
        [(name, column.type) for name, column in zip(names or ["x"], columns, strict=True)], metadata=metadata
    )
    pq.write_table(pa.Table.from_arrays(list(columns), schema=schema), path)
    return path


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = pa.array([b"\xff\xfe"])
    nested = pa.array([[1]])
    for column in (binary, nested, pa.array([{"a": 1}]), pa.array([1]).cast(pa.timestamp("s"))):
        with pytest.raises(InputError, match="neither text nor numbers: x"):
            read_parquet(write_arrow(tmp_path / "t.parquet", column))
    odd = pa.StringArray.from_buffers(1, pa.py_buffer(struct.pack("<2i", 0, 2)), pa.py_buffer(b"\xff\xfe"))
    with pytest.raises(InputError, match="not a parquet table"):  # once an error of pandas, where the text was used
        read_parquet(write_arrow(tmp_path / "t.parquet", odd))
    with pytest.raises(InputError, match="two columns of one name"):
        read_parquet(write_arrow(tmp_path / "t.parquet", *[pa.array([1])] * 2, names=["x", "x"]))
    monkeypatch.setattr("rsna.tables.MAX_TABLE_BYTES", 2**20)
    bomb = pa.array(["x" * 2**16]).take(pa.array(np.zeros(500, np.int64)))
    path = write_arrow(tmp_path / "t.parquet", bomb)
    assert path.stat().st_size < 2**20
    with pytest.raises(InputError, match="unpacks to more than 4 MB"):
        read_parquet(path)


def test_what_a_parquet_file_says_about_pandas_is_not_followed(tmp_path: Path) -> None:
    tricks = {"index_columns": ["x"], "columns": [{"name": "x", "numpy_type": "object", "pandas_type": "evil"}]}
    metadata = {b"pandas": json.dumps(tricks).encode(), b"PANDAS_ATTRS": b'{"scale": "probability"}'}
    table = read_parquet(write_arrow(tmp_path / "t.parquet", pa.array([1, 2]), metadata=metadata))
    assert list(table.columns) == ["x"]
    assert table.attrs == {"scale": "probability"}
    with pytest.raises(InputError, match=r"attributes of .* not valid JSON"):
        read_parquet(write_arrow(tmp_path / "t.parquet", pa.array([1]), metadata={b"PANDAS_ATTRS": b"{"}))


@pytest.mark.parametrize("path", ["a\nb", "\x1b[2J", "a\0b", "../b", "/b", ""], ids=label)
def test_paths_of_tables(tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match="does not stay inside"):
        checked_then_raised(lambda: inside(tmp_path, path))


def shifted_zip() -> bytes:
    """Whose directory says that its first entry lies before the file begins."""
    packed = bytearray(zip_of(["a"], b"1", zipfile.ZIP_STORED))
    directory = packed.find(b"PK\x01\x02")
    del packed[8:9]
    packed[directory - 1 + 42 : directory - 1 + 46] = b"\0\0\0\0"
    return bytes(packed)


def lzma_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", bytes(1000))
    packed = bytearray(buffer.getvalue())
    packed[35:45] = b"\xff" * 10
    return bytes(packed)


def bz2_zip() -> bytes:
    packed = bytearray(zip_of(["a"], os.urandom(1000), zipfile.ZIP_BZIP2))
    packed[40:60] = bytes(20)
    return bytes(packed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zip_of([""], b"1"), "two entries of one name|is a directory|Is a directory|File exists"),
        (shifted_zip(), "damaged"),
        (lzma_zip(), "damaged"),
        (bz2_zip(), "damaged"),
        (zip_of(["x" * 5000], b"1"), "too long"),
    ],
    ids=label,
)
def test_zip_files(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "upload").write_bytes(content)
    unpacker = Unpacker(tmp_path / "set", 2**20, 100)
    with pytest.raises(UnpackError, match=message):
        checked_then_raised(lambda: unpacker.add(tmp_path / "upload", "a.zip"))
    unpacker.close()


@pytest.mark.parametrize(
    "file", ["requirements.txt", "..", "", "a/b.whl", "x" * 300 + ".whl", "a b.whl", "a\n.whl"], ids=label
)
def test_names_of_wheels(tmp_path: Path, file: str) -> None:
    """pip's requirements were written through a link of that name into the data set."""
    row = {"name": "x", "version": "1", "file": file, "sha256": "0" * 64}
    (tmp_path / "lock.json").write_text(json.dumps({"wheels": [row]}))
    with pytest.raises(RuntimeError, match="not the name of a wheel"):
        wheels.read_lock(tmp_path)


@pytest.mark.parametrize("name", ["x.whl", "x-1-py3.whl", "x-one-py3-none-any.whl"])
def test_names_that_no_wheel_has(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(zip_of(["x-1.dist-info/METADATA"], b"Name: x\nVersion: 1\n"))
    with pytest.raises(RuntimeError, match="is not a wheel"):
        target.Target("3.12", "manylinux_2_28_x86_64").problems(tmp_path / name, {})


@pytest.mark.parametrize(
    "build",
    [
        "[]",
        "{",
        "[" * 100_000,
        '{"files": {"a": 7}, "content_hash": "0"}',
        '{"files": {"\\ud800": "0"}, "content_hash": "0"}',
        json.dumps({"files": {"x" * 5000: "0"}, "content_hash": "0"}),
        json.dumps({"files": {"x\ny": "0"}, "content_hash": "0"}),
        '{"files": {}}',
        '{"files": "", "content_hash": "0"}',
    ],
    ids=label,
)
def test_manifests(tmp_path: Path, build: str) -> None:
    (tmp_path / "_build.json").write_text(build)
    with pytest.raises(RuntimeError) as caught:
        bootstrap.load_code("", tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["x" * 5000, "resnet18." + "x" * 5000, "a\nb", "resnet18.\n"], ids=label)
def test_names_of_backbones(name: str) -> None:
    """One of 5000 letters was shown whole."""
    with pytest.raises(InputError, match=r"model\.backbone"):
        checked_then_raised(lambda: create_model(ModelSpec(backbone=name, pretrained=False), InputSpec(64, 32), 1))


@pytest.mark.parametrize("offsets", [None, [0], [4, 8], [8, 0], [0, 4], ["0", "8"], [0.0, 8.0]], ids=label)
def test_tensors_that_do_not_lie_where_they_should(tmp_path: Path, offsets: object) -> None:
    """The header alone has to tell: it is all that is read when a bundle is opened."""
    entry = {"dtype": "F32", "shape": [2]} | ({} if offsets is None else {"data_offsets": offsets})
    head = json.dumps({"weight": entry}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(head).to_bytes(8, "little") + head + bytes(8))
    with pytest.raises(InputError, match="one behind the other"):
        read_header(path)
