"""ONNX to TensorRT. A plan is bound to the GPU and the version that it was built with, so it is built where it runs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from rsna.errors import InputError, RsnaError

logger = logging.getLogger(__name__)

WORKSPACE = 4 * 2**30  # bytes that a layer may try out


def export_tensorrt(onnx: Path, path: Path, shape: tuple[int, ...], batch: int) -> None:
    """Build a plan in full precision for 1 to `batch` pictures. Takes minutes.

    Args:
        onnx: With the input `images`.
        path: The plan.
        shape: `(V, C, H, W)`.
        batch: The most pictures of one pass.

    Raises:
        InputError: Without a GPU of NVIDIA's.
        RsnaError: Where TensorRT is missing or cannot build it.
    """
    tensorrt = import_tensorrt()
    builder = tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.WARNING))
    network = _parse(tensorrt, builder, onnx)
    profile, config = builder.create_optimization_profile(), builder.create_builder_config()
    profile.set_shape("images", (1, *shape), (batch, *shape), (batch, *shape))
    config.add_optimization_profile(profile)
    config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, WORKSPACE)
    config.clear_flag(tensorrt.BuilderFlag.TF32)  # whose error reaches the third digit
    logger.info("building the TensorRT plan; this takes minutes")
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RsnaError(f"TensorRT could not build a plan of {onnx}; its own lines above say why")
    path.write_bytes(plan)


def import_tensorrt() -> Any:
    """The package `tensorrt`, or an error where a plan cannot be built here: known before the models are translated."""
    if not torch.cuda.is_available():
        raise InputError("a TensorRT plan is built on the GPU that it is for, and there is none here; run it there")
    try:
        import tensorrt
    except ImportError as error:
        raise RsnaError("the export needs TensorRT: pip install tensorrt") from error
    return tensorrt


def _parse(tensorrt: Any, builder: Any, onnx: Path) -> Any:
    network = builder.create_network(0)  # explicit batch, the only kind since version 10
    parser = tensorrt.OnnxParser(network, tensorrt.Logger(tensorrt.Logger.WARNING))
    if not parser.parse_from_file(str(onnx)):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise RsnaError(f"TensorRT cannot read {onnx}: {reasons[:300]}")
    return network
