"""Add engines to a bundle: made beside it, compared with torch, and named in `bundle.json` last of all."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from rsna.config import dump
from rsna.errors import InputError
from rsna.export.onnx import export_onnx
from rsna.export.openvino import export_openvino
from rsna.export.tensorrt import export_tensorrt, import_tensorrt
from rsna.inference import Bundle
from rsna.inference.engine_spec import SUFFIXES, EngineSpec
from rsna.inference.engines import (
    MODULES,
    Stacked,
    check_distance,
    distance,
    load_engine,
    measure,
    tensorrt_target,
    trial_pictures,
)
from rsna.inference.schema import SCHEMA_VERSION, SPEC_FILE
from rsna.io import atomic_path, sha256_file, write_json

logger = logging.getLogger(__name__)

BATCH = 4  # pictures that are compared


def export_bundle(folder: Path, kinds: Sequence[str], batch: int = 16) -> Bundle:
    """Add engines of all models to a bundle, or replace those of the same kind. Its digest changes.

    Args:
        folder: Of the bundle.
        kinds: Out of `onnx`, `openvino`, `tensorrt`.
        batch: The most pictures of a pass that a TensorRT plan is built for.

    Returns:
        The bundle, verified again.

    Raises:
        InputError: For an unknown kind, or TensorRT without a GPU.
        RsnaError: Where a runtime is missing or fails, and for an engine that lies more than 1e-3 from torch.
    """
    if unknown := sorted(set(kinds) - set(SUFFIXES)):
        raise InputError(f"there is no engine {unknown[0]!r}; choose {', '.join(SUFFIXES)}")
    if "tensorrt" in kinds:
        import_tensorrt()
    bundle = Bundle.open(folder)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=bundle.folder) as temporary:
        onnx = Path(temporary) / "engine.onnx"
        export_onnx(bundle.models(), input_shape(bundle), onnx)
        made = [_make(bundle, kind, onnx, batch) for kind in dict.fromkeys(kinds)]
    kept = [engine for engine in bundle.spec.engines if engine.kind not in kinds]
    spec = replace(bundle.spec, engines=(*kept, *made), schema_version=SCHEMA_VERSION)
    write_json(bundle.folder / SPEC_FILE, dump(spec))
    for name in set(bundle.spec.files()) - set(spec.files()):
        (bundle.folder / name).unlink()
    return Bundle.open(folder)


def input_shape(bundle: Bundle) -> tuple[int, int, int, int]:
    """`(V, C, H, W)` of what the models of a bundle see."""
    size = bundle.config.data.input
    return bundle.config.model.views.count, size.channels, size.height, size.width


def _make(bundle: Bundle, kind: str, onnx: Path, batch: int) -> EngineSpec:
    """Make an engine in a folder of its own, compare it, and move its files to the bundle."""
    device = torch.device("cuda" if kind == "tensorrt" else "cpu")
    path = onnx.parent / kind / f"engine{SUFFIXES[kind][0]}"
    path.parent.mkdir()
    if kind == "onnx":
        path.hardlink_to(onnx)
    elif kind == "openvino":
        export_openvino(onnx, path)
    else:
        export_tensorrt(onnx, path, input_shape(bundle), batch)
    target = tensorrt_target(device) if kind == "tensorrt" else ""
    stem = f"engine_{sha256_file(path)[:8]}"  # never that of an engine that is there: a kill leaves the bundle whole
    for suffix in SUFFIXES[kind]:
        path.with_suffix(suffix).rename(path.with_name(stem + suffix))
    files = {stem + suffix: sha256_file(path.with_name(stem + suffix)) for suffix in SUFFIXES[kind]}
    spec = EngineSpec(kind, files, target, _versions(kind))  # type: ignore[arg-type]
    far, seconds, torchs = _compare(bundle, spec, path.parent, device)
    check_distance(kind, far)
    logger.info("engine %s: %.4f s a picture, torch %.4f s, at most %.1e apart", kind, seconds, torchs, far)
    for name in files:
        with atomic_path(bundle.folder / name) as part:
            (path.parent / name).replace(part)
    return replace(spec, distance=far)


def _compare(bundle: Bundle, spec: EngineSpec, folder: Path, device: torch.device) -> tuple[float, float, float]:
    """The distance from torch, and the seconds per picture of the engine and of torch."""
    images = trial_pictures((BATCH, *input_shape(bundle))).to(device)
    expected, torchs = measure(Stacked(bundle.models()).eval().to(device), images)
    found, seconds = measure(load_engine(folder, spec, device), images)
    return distance(found, expected), seconds, torchs


def _versions(kind: str) -> str:
    from importlib.metadata import version

    return f"torch {version('torch')}, {MODULES[kind]} {version(MODULES[kind])}"
