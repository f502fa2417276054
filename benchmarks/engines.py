"""Milliseconds a picture through the engines of two folds, and how many times faster than torch each is.

python benchmarks/engines.py            # about 3 minutes on 2 cores
python benchmarks/engines.py --quick
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import torch
from harness import Row, against, interleaved, options, report

from rsna.config import InputSpec, ModelSpec
from rsna.export.onnx import export_onnx
from rsna.export.openvino import export_openvino
from rsna.inference.engine_spec import SUFFIXES, EngineSpec
from rsna.inference.engines import Engine, Stacked, distance, load_engine, measure, trial_pictures
from rsna.models import create_model

CPU = torch.device("cpu")
FOLDS, BATCH = 2, 4


def make_engines(backbone: str, size: InputSpec, folder: Path) -> dict[str, Engine]:
    """torch, ONNX and OpenVINO of two folds with random weights."""
    spec = ModelSpec(backbone=backbone, pretrained=False)
    models = [create_model(spec, size, 1).eval() for _ in range(FOLDS)]
    export_onnx(models, (1, 1, size.height, size.width), folder / "engine.onnx")
    export_openvino(folder / "engine.onnx", folder / "engine.xml")
    engines: dict[str, Engine] = {"torch": Stacked(models).eval().to(CPU, memory_format=torch.channels_last)}  # type: ignore[call-overload]
    for kind in ("onnx", "openvino"):
        files = {f"engine{suffix}": "" for suffix in SUFFIXES[kind]}
        engines[kind] = load_engine(folder, EngineSpec(kind, files), CPU)  # type: ignore[arg-type]
    return engines


def main() -> None:
    """Measure small and middling networks; the engines of one network take turns."""
    arguments = options(__doc__ or "")
    backbones = ("test_resnet", "resnet18") if arguments.quick else ("test_resnet", "resnet18", "convnext_tiny")
    rows = []
    for backbone in backbones:
        size = InputSpec(height=256, width=128) if arguments.quick else InputSpec(height=512, width=256)
        with tempfile.TemporaryDirectory() as temporary:
            engines = make_engines(backbone, size, Path(temporary))
            images = trial_pictures((BATCH, 1, 1, size.height, size.width))
            expected, _ = measure(engines["torch"], images)
            far = {name: distance(measure(engine, images)[0], expected) for name, engine in engines.items()}
            with torch.inference_mode():
                ways = {name: partial(engine, images) for name, engine in engines.items()}
                seconds = interleaved(ways, 3 if arguments.quick else 5)
        rows += against(seconds, "torch", f"{backbone} {size.height}x{size.width} ", 1e3 / BATCH)
        rows += [Row(f"{backbone} {name}, from torch", far[name] * 1e6, "1e-6") for name in ("onnx", "openvino")]
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
