"""Weights in files: what a header says is checked before anything of its size is read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rsna.errors import InputError
from rsna.models.weights import check_weights, load_weights, save_weights


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def write(path: Path, header: dict | bytes, data: bytes = b"", length: int | None = None) -> Path:
    """A safetensors file by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def tensor(dtype: str = "F32", shape: object = (2,), offsets: tuple[int, int] = (0, 8)) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    model, other = make_model(), make_model()
    save_weights(model, tmp_path / "w.safetensors")
    nn.init.zeros_(other[0].weight)
    load_weights(other, tmp_path / "w.safetensors")
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_a_header_can_be_checked_against_a_model_without_memory(tmp_path: Path) -> None:
    save_weights(make_model(), tmp_path / "w.safetensors")
    with torch.device("meta"):
        check_weights(make_model(), tmp_path / "w.safetensors")
        with pytest.raises(InputError, match="weight is missing"):
            check_weights(nn.Linear(3, 4), tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("0.bias"), "0.bias is missing"),
        (lambda t: t.update(more=torch.zeros(1)), "more is not part of the model"),
        (lambda t: t.update({"0.bias": torch.zeros(5)}), r"0.bias is \(5,\), not \(4,\)"),
        (lambda t: t.update({"0.bias": torch.zeros(4).half()}), "0.bias is torch.float16, not torch.float32"),
        (lambda t: t.update({"0.bias": torch.zeros(4).double()}), "0.bias is torch.float64, not torch.float32"),
        (lambda t: t.update({"x\ny" * 500: torch.zeros(1)}), "is not part of the model"),
    ],
)
def test_tensors_that_do_not_fit_are_one_line(tmp_path: Path, change: Callable[[dict], None], message: str) -> None:
    tensors = dict(make_model().state_dict())
    change(tensors)
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=message) as caught:
        load_weights(make_model(), tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


HUGE = 2**40
HOSTILE = {
    "empty file": (b"", None, "its header would have"),
    "a header of a terabyte": (b"{}", HUGE, "its header would have"),
    "a header of 2^64 bytes": (b"{}", 2**64 - 1, "its header would have"),
    "no JSON": (b"{", None, "not valid JSON"),
    "no mapping": (b"[]", None, "does not list tensors"),
    "a tensor of a terabyte": ({"a": tensor(shape=[HUGE // 4], offsets=(0, HUGE))}, None, "is damaged"),
    "a product that overflows": ({"a": tensor(shape=[2**62, 2**62, 2**62])}, None, "is damaged"),
    "a negative size": ({"a": tensor(shape=[-2])}, None, "does not describe a"),
    "sizes that are text": ({"a": tensor(shape="22")}, None, "does not describe a"),
    "a size that is true": ({"a": tensor(shape=[True])}, None, "does not describe a"),
    "a type that is not": ({"a": tensor("F99")}, None, "does not describe a"),
    "a hundred axes": ({"a": tensor(shape=[1] * 100)}, None, "does not describe a"),
    "an entry that is no tensor": ({"a": 7}, None, "does not describe a"),
    "a key twice": (b'{"a": 1, "a": 2}', None, "is there twice"),
    "nested deep": (b'{"a": ' * 5000, None, "not valid JSON"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_one_line(tmp_path: Path, name: str) -> None:
    header, length, message = HOSTILE[name]
    path = write(tmp_path / "w.safetensors", header, bytes(8), length)
    if not header:
        path.write_bytes(b"")
    with pytest.raises(InputError, match=message) as caught:
        load_weights(make_model(), path)
    assert "\n" not in str(caught.value)
    assert "w.safetensors" in str(caught.value)


def test_pickles_pipes_folders_and_nothing_are_no_weights(tmp_path: Path) -> None:
    torch.save(make_model().state_dict(), tmp_path / "pickle.safetensors")
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    messages = {"pickle": "its header would have", "pipe": "a pipe", "folder": "a folder", "none": "No such file"}
    for name, message in messages.items():
        with pytest.raises(InputError, match=message):
            load_weights(make_model(), tmp_path / f"{name}.safetensors")


def test_a_file_of_holes_is_refused_by_its_size(tmp_path: Path) -> None:
    path = write(tmp_path / "w.safetensors", {"a": tensor(shape=[HUGE // 4], offsets=(0, HUGE))})
    os.truncate(path, path.stat().st_size + HUGE)
    with pytest.raises(InputError, match="is larger than"):
        load_weights(make_model(), path)
