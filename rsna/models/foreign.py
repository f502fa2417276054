"""Weights that somebody else trained: read without running their code, renamed, and fitted tensor by tensor."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rsna.errors import InputError
from rsna.models.weights import read_weights

WRAPPERS = ("state_dict_ema", "model_ema", "ema", "state_dict", "model_state_dict", "model", "net", "weights")
PARTS = ("backbone", "pool", "fusion", "neck", "head")  # of our classifiers
Tensors = dict[str, torch.Tensor]


def read_foreign(path: Path) -> Tensors:
    """The tensors of a checkpoint, `.safetensors` or what `torch.save` wrote, without running anything in it.

    Of a checkpoint that holds several sets, EMA weights are taken first, as their authors would.

    Raises:
        InputError: For a file that is missing, damaged, or holds more than tensors and plain values.
    """
    if path.suffix == ".safetensors":
        return read_weights(path)
    if not path.is_file():
        raise InputError(f"there are no weights {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} holds more than tensors, and what it holds is not run: {reason}") from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not a file of weights: {' '.join(str(error).split())[:200]}") from error
    return _find_tensors(content, path)


def _find_tensors(content: Any, path: Path) -> Tensors:
    if isinstance(content, Mapping):
        for wrapper in WRAPPERS:
            if isinstance(content.get(wrapper), Mapping):
                return _find_tensors(content[wrapper], path)
        tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
        if tensors:
            return tensors
    raise InputError(f"{path} holds no tensors by name; save `model.state_dict()`")


def rename_tensors(tensors: Tensors, model: nn.Module, renames: Sequence[tuple[str, str]] = ()) -> Tensors:
    """Give foreign tensors the names of one of our classifiers.

    Prefixes that all of them share (`module.`, `model.`) go; timm's own names get the prefix `backbone.`, and timm's
    classifier becomes `head`.

    Args:
        tensors: By their own names.
        model: A `Classifier`.
        renames: Pairs of prefixes, the old and the new one, applied after the shared prefix went; an empty new one
            leaves the tensors out.
    """
    names = {name: name for name in tensors}
    while shared := _shared_prefix(list(names.values()), PARTS):
        names = {original: name.removeprefix(shared) for original, name in names.items()}
    for old, new in renames:
        names = {
            original: new + name.removeprefix(old) if name.startswith(old) else name
            for original, name in names.items()
            if new or not name.startswith(old)
        }
    ours = set(model.state_dict())
    classifier = str(getattr(model.backbone, "pretrained_cfg", {}).get("classifier") or "")
    return {_our_name(name, ours, classifier): tensors[original] for original, name in names.items()}


def _shared_prefix(names: Sequence[str], own: Sequence[str]) -> str:
    first = {name.split(".")[0] for name in names}
    if len(first) != 1 or any("." not in name for name in names) or first & set(own):
        return ""
    return f"{first.pop()}."


def _our_name(name: str, ours: set[str], classifier: str) -> str:
    if name in ours:
        return name
    if classifier and name.startswith(f"{classifier}."):
        return f"head.{name.removeprefix(f'{classifier}.')}"
    return f"backbone.{name}" if f"backbone.{name}" in ours else name
