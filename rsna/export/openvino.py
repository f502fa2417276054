"""ONNX to OpenVINO, for CPUs."""

from __future__ import annotations

from pathlib import Path

from rsna.errors import RsnaError
from rsna.plain import one_line


def export_openvino(onnx: Path, path: Path) -> None:
    """Write `path` (.xml) and the weights beside it (.bin) in full precision.

    Raises:
        RsnaError: Where OpenVINO is missing or refuses the graph.
    """
    try:
        import openvino
    except ImportError as error:
        raise RsnaError("the export needs OpenVINO: pip install openvino") from error
    try:
        openvino.save_model(openvino.convert_model(onnx), path, compress_to_fp16=False)
    except RuntimeError as error:
        raise RsnaError(f"OpenVINO cannot translate {onnx}: {one_line(error)[:300]}") from error
