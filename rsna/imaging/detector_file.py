"""The bytes of an ONNX file that somebody else may have written: of bounded size, and whole in themselves.

An ONNX network may keep its weights in other files, whose paths it names; a runtime would open them. Those are refused
here, from the protocol buffer itself (onnx.proto3, protobuf.dev/programming-guides/encoding), without the onnx package.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rsna.errors import InputError
from rsna.io import read_bytes

MAX_BYTES = 64 * 2**20  # the largest YOLOX of 416 pixels that makes sense here has 36 MB
MAX_DEPTH = 64  # of messages in messages; a branch within a branch takes four
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of a tensor
# The fields that lead to tensors, and the message that each of them holds.
FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


def read_network(path: Path) -> bytes:
    """The bytes of an ONNX file.

    Raises:
        InputError: Where it cannot be read, is too large, is no ONNX file, or keeps tensors in other files.
    """
    content = read_bytes(path, MAX_BYTES)
    try:
        external = _has_external(memoryview(content), "model", 0)
    except ValueError as error:
        raise InputError(f"{path} is no ONNX network: {error}") from error
    if external:
        raise InputError(f"{path} keeps weights in other files; save it as one file (save_as_external_data=False)")
    return content


def _has_external(data: memoryview, kind: str, depth: int) -> bool:
    """Whether a tensor below a message has its values elsewhere; raises `ValueError` for what is no message."""
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    if kind == "tensor":
        return any(
            number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0) for number, value in _fields(data)
        )
    return any(
        _has_external(value, FIELDS[kind][number], depth + 1)
        for number, value in _fields(data)
        if number in FIELDS[kind] and isinstance(value, memoryview)
    )


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: their numbers, and a whole number or bytes each."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in (FIXED_32, FIXED_64):
            size = 4 if kind == FIXED_32 else 8
        else:
            raise ValueError(f"a field of the unknown wire type {kind}")
        if size > len(data) - at:
            raise ValueError("it is cut off")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A whole number of variable length, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
