"""Weights in files: safetensors only, and every tensor must fit."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from rsna.errors import InputError
from rsna.io import atomic_path


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write a model's parameters and buffers atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(path) as part:
        save_file(tensors, part)


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Fill a model from a file that holds exactly its parameters and buffers.

    Raises:
        InputError: For a missing or broken file, and where a tensor is missing, superfluous or of another shape.
    """
    check_fit(model, read_weights(path), path)


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises:
        InputError: For a missing or broken file.
    """
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise InputError(f"there are no weights {path}") from error
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a safetensors file: {error}") from error


def check_fit(model: nn.Module, tensors: dict[str, torch.Tensor], path: str | Path) -> None:
    """Fill a model from tensors that are exactly its own, or raise `InputError` naming the first that is not."""
    if wrong := misfits(model, tensors):
        raise InputError(f"the weights {path} do not fit the model: {wrong[0]} ({len(wrong)} tensors in all)")
    model.load_state_dict(tensors, strict=True)


def misfits(model: nn.Module, tensors: dict[str, torch.Tensor]) -> list[str]:
    """What keeps tensors from being exactly those of a model: one line for each, the missing ones first."""
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = [f"{name} is missing" for name in wanted if name not in found]
    wrong += [f"{name} is not part of the model" for name in found if name not in wanted]
    return wrong + [
        f"{name} is {found[name]}, not {shape}" for name, shape in wanted.items() if found.get(name, shape) != shape
    ]
