"""Detectors out of ONNX files, by ONNX Runtime: an export of `rsna detect export`, or a YOLOX that somebody brings."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from rsna.errors import InputError, RsnaError
from rsna.imaging.detector import SIZE, Network, RegionDetector
from rsna.imaging.detector_file import read_network
from rsna.imaging.detector_yolox import decode_yolox
from rsna.plain import one_line

INPUT, OUTPUTS = "images", ["boxes", "scores"]  # of our own files
ERRORS_ONLY = 3  # a level of the runtime's log


def load_onnx(path: Path, sha256: str = "") -> RegionDetector:
    """Load a detector.

    Args:
        path: Ours, or YOLOX's with 416 pixels.
        sha256: Of the file that is expected.

    Raises:
        InputError: For any other file, and where ONNX Runtime is missing.
    """
    content = read_network(path)
    digest = hashlib.sha256(content).hexdigest()
    if sha256 and digest != sha256:
        raise InputError(f"{path} is the detector {digest[:12]}, expected was {sha256[:12]}; it was altered")
    return RegionDetector(path, digest, _network(_open_session(content, path), path))


def _open_session(content: bytes, path: Path) -> Any:
    """A session of ONNX Runtime on the CPU, with one thread: each decoding worker has its own."""
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f"running {path} needs ONNX Runtime: pip install rsna[export]") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.load_model_format", "ONNX")  # no other, which nobody has checked
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common ancestor of their own
        raise InputError(f"{path} is no ONNX network: {one_line(error)}") from error


def _network(session: Any, path: Path) -> Network:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    ours = [output.name for output in outputs] == OUTPUTS
    channels = 1 if ours else 3
    shape = list(inputs[0].shape) if inputs else []
    one_picture = shape[:1] == [1] or (shape and not isinstance(shape[0], int))  # an open axis has a name or none
    fits = one_picture and shape[1:] == [channels, SIZE, SIZE]
    if len(inputs) != 1 or not fits or (not ours and len(outputs) != 1):
        raise InputError(
            f"{path} takes {shape} and gives {len(outputs)} outputs; a YOLOX network of (1, 3, {SIZE}, {SIZE}) with one"
            " output is needed, as its export_onnx makes it, or an export of `rsna detect export`"
        )

    def network(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = [_run(session, inputs[0].name, image, channels, path) for image in images]  # most have a batch of one
        decoded = [_checked(a[0], b[0], path) if ours else decode_yolox(a[0], str(path)) for a, b in found]
        return np.stack([boxes for boxes, _ in decoded]), np.stack([scores for _, scores in decoded])

    return network


def _run(session: Any, name: str, image: np.ndarray, channels: int, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last output for one picture; grey in all channels, so that BGR or RGB does not matter."""
    try:
        outputs = session.run(None, {name: np.tile(image.astype(np.float32), (1, channels, 1, 1))})
    except Exception as error:  # see `_open_session`
        raise RsnaError(f"ONNX Runtime cannot run {path}: {one_line(error)}") from error
    if any(not isinstance(output, np.ndarray) or output.ndim < 2 or len(output) != 1 for output in outputs):
        raise InputError(f"{path} gives other outputs than one per picture")
    return outputs[0], outputs[-1]


def _checked(boxes: np.ndarray, scores: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1] or not len(scores):
        raise InputError(f"{path} gives boxes {boxes.shape} and scores {scores.shape}, not (P, 4) and (P,)")
    return boxes, scores
