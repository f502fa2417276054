"""ONNX files of detectors that somebody else may have written: nothing but an `InputError` comes of a wrong one."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from detecting import bright_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rsna.errors import InputError
from rsna.imaging import RegionFinder, check_finder
from rsna.imaging.detector_file import MAX_BYTES, read_network
from rsna.imaging.detector_onnx import load_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound one."""
    return bright_file(tmp_path_factory.mktemp("network") / "bright.onnx")


def test_a_sound_file_is_read_as_it_is(network: Path) -> None:
    assert read_network(network) == network.read_bytes()
    thumbnail = np.zeros((416, 300), np.uint8)
    thumbnail[100:200, 50:80] = 90
    (found,) = load_onnx(network).detect([thumbnail])
    assert found is not None
    assert (found.region.xmin, found.region.ymax, found.score) == (50 / 300, 200 / 416, 0.75)


def external(name: str = "w") -> onnx.TensorProto:
    """A tensor whose values are said to lie in another file."""
    tensor = onnx.numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    return tensor


def in_branch(model: onnx.ModelProto) -> None:
    branch = onnx.helper.make_graph([], "branch", [], [], [external()])
    model.graph.node.append(onnx.helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))


def in_function(model: onnx.ModelProto) -> None:
    node = onnx.helper.make_node("Constant", [], ["y"], value=external())
    model.functions.append(onnx.helper.make_function("own", "F", [], ["y"], [node], [onnx.helper.make_opsetid("", 17)]))


def in_sparse(model: onnx.ModelProto) -> None:
    indices = onnx.numpy_helper.from_array(np.arange(4), "indices")
    model.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(external(), indices, [4]))


HIDDEN: dict[str, Callable[[onnx.ModelProto], None]] = {
    "an initializer": lambda model: model.graph.initializer.append(external()),
    "a constant": lambda model: model.graph.node.append(onnx.helper.make_node("Constant", [], ["y"], value=external())),
    "a branch": in_branch,
    "a function": in_function,
    "a sparse tensor": in_sparse,
}


@pytest.mark.parametrize("where", HIDDEN)
def test_weights_in_other_files_are_refused(network: Path, tmp_path: Path, where: str) -> None:
    model = onnx.load(network)
    HIDDEN[where](model)
    path = tmp_path / "external.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="keeps weights in other files"):
        read_network(path)


@given(at=st.floats(0, 1), cut=st.integers(0, 9), put=st.binary(max_size=9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes_are_read_or_refused(network: Path, tmp_path: Path, at: float, cut: int, put: bytes) -> None:
    content, path = network.read_bytes(), tmp_path / "changed.onnx"
    first = int(at * len(content))
    path.write_bytes(content[:first] + put + content[first + cut :])
    with contextlib.suppress(InputError):
        assert read_network(path) == path.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_half_a_file_is_refused_in_one_line(network: Path, tmp_path: Path, share: float) -> None:
    content, path = network.read_bytes(), tmp_path / "half.onnx"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"half\.onnx is no ONNX network") as refused:
        load_onnx(path)
    assert "\n" not in str(refused.value)


def test_messages_without_end_are_refused(tmp_path: Path) -> None:
    def field(number: int, content: bytes) -> bytes:
        size, length = b"", len(content)
        while length > 0x7F:
            size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + content

    content = b""
    for _ in range(100):  # a graph with a node with an attribute with a graph
        content = field(1, field(5, field(6, content)))
    path = tmp_path / "deep.onnx"
    path.write_bytes(field(7, content))
    with pytest.raises(InputError, match="nested more than 64 deep"):
        read_network(path)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match="larger than 64 MB"):
        load_onnx(path)
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(InputError, match="a pipe"):
        read_network(tmp_path / "pipe.onnx")


def outputs(model: onnx.ModelProto, boxes: list[int], scores: list[int]) -> None:
    """Let a network promise nothing and give outputs of other shapes."""
    del model.graph.node[:]
    for name, shape in (("boxes", boxes), ("scores", scores)):
        value = onnx.numpy_helper.from_array(np.zeros(shape, np.float32))
        model.graph.node.append(onnx.helper.make_node("Constant", [], [name], value=value))
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


@pytest.mark.parametrize(
    ("boxes", "scores"),
    [([1, 3, 5], [1, 3]), ([1, 3, 4], [1, 2]), ([4], [1]), ([2, 1, 4], [2, 1]), ([1, 0, 4], [1, 0])],
)
def test_outputs_of_other_shapes_are_refused_when_it_is_tried(
    network: Path, tmp_path: Path, boxes: list[int], scores: list[int]
) -> None:
    model = onnx.load(network)
    outputs(model, boxes, scores)
    path = tmp_path / "odd.onnx"
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"odd\.onnx gives"):
        RegionFinder.of(path).try_out()


def test_another_file_than_the_expected_one_is_refused(network: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(network.read_bytes())
    finder = RegionFinder.of(path)
    path.write_bytes(bright_file(tmp_path / "other.onnx", score=0.9).read_bytes())
    with pytest.raises(InputError, match="it was altered"):
        finder.try_out()


def test_a_network_that_eats_memory_is_refused_by_a_worker(network: Path, tmp_path: Path) -> None:
    model = onnx.load(network)
    size = onnx.numpy_helper.from_array(np.array([1, 1, 2**36], np.int64), "size")
    model.graph.initializer.append(size)
    model.graph.node.insert(0, onnx.helper.make_node("ConstantOfShape", ["size"], ["everything"]))
    model.graph.node.insert(1, onnx.helper.make_node("ReduceSum", ["everything"], ["sum"]))
    for node in model.graph.node:
        if list(node.output) == ["scores"]:
            node.op_type = "Add"
            node.input.append("sum")
    path = tmp_path / "hungry.onnx"
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"cannot be used: .*hungry\.onnx"):
        check_finder(RegionFinder.of(path))


def test_without_onnx_runtime_the_worker_says_what_to_install(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_finder(RegionFinder.of(network))
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('not here')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(InputError, match=r"cannot be used: .*pip install rsna\[export\]"):
        check_finder(RegionFinder.of(network))


def test_no_detector_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no detector .*rsna detect export"):
        RegionFinder.of(tmp_path / "none.onnx")
