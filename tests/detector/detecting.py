"""What the tests of the detector share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rsna.config.compose import compose
from rsna.config.detector import DetectConfig


def configure(lab: Path, name: str, overrides: Sequence[str] = ()) -> DetectConfig:
    """A small detector on the competition of a folder, with one thread and one worker."""
    return compose(
        DetectConfig, "detect", [*places(lab, name), "detector.channels=32", "scheduler.warmup=1", *overrides]
    )


def places(lab: Path, name: str) -> list[str]:
    """Where things are."""
    return [
        f"images={lab}/data/train_images",
        f"boxes={lab}/truth/boxes.csv",
        f"env.runs={lab}/runs",
        f"name={name}",
        "env.workers=1",
        "threads=1",
        "held_out=0.3",
    ]


def yolox_output(box: tuple[float, float, float, float], score: float, stride: int) -> np.ndarray:
    """What a YOLOX network of 416 pixels and one class says of one box (centre x, centre y, width, height).

    Written from the paper's description, one cell after the other.
    """
    rows = []
    for step in (8, 16, 32):
        for row in range(416 // step):
            for column in range(416 // step):
                inside = step == stride and int(box[0] / step) == column and int(box[1] / step) == row
                values = [box[0] / step - column, box[1] / step - row, np.log(box[2] / step), np.log(box[3] / step)]
                rows.append([*values, score, 1.0] if inside else [0.0, 0.0, 0.0, 0.0, 0.01, 0.5])
    return np.array(rows, np.float32)


def bright_file(path: Path, score: float = 0.75) -> Path:
    """An ONNX detector whose box holds all pixels above 40 that are not padding: another one for every image."""
    onnx = pytest.importorskip("onnx")
    helper, number, info = onnx.helper, onnx.numpy_helper.from_array, onnx.helper.make_tensor_value_info
    line = np.arange(416, dtype=np.float32)
    constants = {
        "dark": np.float32(40),
        "fill": np.float32(114),
        "none": np.float32(-1),
        "far": np.float32(416),
        "one": np.float32(1),
        "columns": line.reshape(1, 1, 1, 416),
        "rows": line.reshape(1, 1, 416, 1),
        "shape": np.array([1, 1, 4], np.int64),
        "trust": np.array([[score]], np.float32),
    }
    nodes = [
        helper.make_node("Greater", ["images", "dark"], ["above"]),
        helper.make_node("Equal", ["images", "fill"], ["padding"]),
        helper.make_node("Not", ["padding"], ["picture"]),
        helper.make_node("And", ["above", "picture"], ["bright"]),
    ]
    for axis in ("columns", "rows"):
        nodes += [
            helper.make_node("Where", ["bright", axis, "far"], [f"{axis}_low"]),
            helper.make_node("ReduceMin", [f"{axis}_low"], [f"{axis}_first"]),
            helper.make_node("Where", ["bright", axis, "none"], [f"{axis}_high"]),
            helper.make_node("ReduceMax", [f"{axis}_high"], [f"{axis}_last"]),
            helper.make_node("Add", [f"{axis}_last", "one"], [f"{axis}_end"]),
        ]
    sides = ["columns_first", "rows_first", "columns_end", "rows_end"]
    nodes += [
        helper.make_node("Concat", sides, ["sides"], axis=3),
        helper.make_node("Reshape", ["sides", "shape"], ["boxes"]),
        helper.make_node("Identity", ["trust"], ["scores"]),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "bright",
        [info("images", kind, [1, 1, 416, 416])],
        [
            info("boxes", kind, [1, 1, 4]),
            info("scores", kind, [1, 1]),
        ],
        [number(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
