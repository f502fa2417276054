"""Weights in files: safetensors only, and every tensor must fit."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from rsna.errors import InputError
from rsna.io import atomic_path, open_file
from rsna.plain import listing, one_line, parse_json

MAX_WEIGHTS_BYTES = 16 * 2**30
MAX_HEADER_BYTES = 16 * 2**20
MAX_TENSORS = 100_000
MAX_AXES = 16
DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8},
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class Shape:
    """What a header says about a tensor."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        """What it takes."""
        return math.prod(self.shape) * self.dtype.itemsize


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write a model's parameters and buffers atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(path) as part:
        save_file(tensors, part)


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Fill a model from a file that holds exactly its parameters and buffers.

    Raises:
        InputError: As `check_weights`.
    """
    check_weights(model, path)
    model.load_state_dict(read_weights(path), strict=True)


def check_weights(model: nn.Module, path: str | Path) -> None:
    """Check by its header alone that a file holds exactly a model's tensors; nothing of the size of one is read.

    Args:
        model: May lie on the `meta` device, which takes no memory for its tensors either.
        path: The file.

    Raises:
        InputError: For a missing or broken file, and where a tensor is missing, superfluous, or of another shape or
            type.
    """
    header = read_header(path)
    if wrong := misfits(model, header):
        raise _misfit(path, wrong)
    dtypes = {name: tensor.dtype for name, tensor in model.state_dict().items()}
    if wrong := [f"{name} is {header[name].dtype}, not {d}" for name, d in dtypes.items() if header[name].dtype != d]:
        raise _misfit(path, wrong)


def read_header(path: str | Path) -> dict[str, Shape]:
    """The tensors that a safetensors file says it holds, by name.

    The file itself must be as long as they are: no header makes anybody take memory for what is not there.

    Raises:
        InputError: For a missing or broken file.
    """
    with open_file(path, MAX_WEIGHTS_BYTES, "the weights ") as file:
        size, length = os.fstat(file.fileno()).st_size, int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
            raise InputError(f"{path} is not a safetensors file: its header would have {length} of {size} bytes")
        header = parse_json(file.read(length), f"the header of {path}")
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise InputError(f"{path} is not a safetensors file: its header does not list tensors")
    shapes = {name: _shape(entry) for name, entry in header.items() if name != "__metadata__"}
    if odd := [name for name, shape in shapes.items() if shape is None]:
        raise InputError(f"{path} is not a safetensors file: its header does not describe {listing(odd[:1])}")
    known = {name: shape for name, shape in shapes.items() if shape is not None}
    taken = sum(shape.bytes for shape in known.values())
    if taken != size - 8 - length:
        raise InputError(f"{path} is damaged: its tensors take {taken} bytes, {size - 8 - length} are there")
    if not _tile([header[name].get("data_offsets") for name in known], list(known.values())):
        raise InputError(f"{path} is damaged: its tensors do not lie one behind the other")
    return known


def _tile(offsets: list[Any], shapes: list[Shape]) -> bool:
    """Whether the tensors lie one behind the other, in any order, from the first byte on."""
    if not all(isinstance(pair, list) and [type(place) for place in pair] == [int, int] for pair in offsets):
        return False
    at = 0
    for (start, end), shape in sorted(zip(offsets, shapes, strict=True), key=lambda placed: tuple(placed[0])):
        if start != at or end != start + shape.bytes:
            return False
        at = end
    return True


def _shape(entry: Any) -> Shape | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return None
    dtype, sizes = DTYPES.get(entry["dtype"]), entry.get("shape")
    if dtype is None or not isinstance(sizes, list) or len(sizes) > MAX_AXES:
        return None
    return Shape(tuple(sizes), dtype) if all(type(size) is int and size >= 0 for size in sizes) else None


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file after its header was checked.

    Raises:
        InputError: For a missing or broken file.
    """
    read_header(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} is not a safetensors file: {one_line(error)}") from error


def _misfit(path: str | Path, wrong: list[str]) -> InputError:
    return InputError(f"the weights {path} do not fit the model: {wrong[0]} ({len(wrong)} tensors in all)")


def misfits(model: nn.Module, tensors: Mapping[str, torch.Tensor | Shape]) -> list[str]:
    """What keeps tensors from being exactly those of a model: one line for each, the missing ones first."""
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = [f"{name} is missing" for name in wanted if name not in found]
    wrong += [f"{listing([name])} is not part of the model" for name in found if name not in wanted]
    return wrong + [
        f"{name} is {found[name]}, not {shape}" for name, shape in wanted.items() if found.get(name, shape) != shape
    ]
