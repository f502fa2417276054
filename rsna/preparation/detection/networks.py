"""Detectors out of files: a run of `rsna detect train`, its ONNX export, or a YOLOX network that somebody brings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsna.config import load
from rsna.config.detector import DetectConfig
from rsna.errors import InputError, RsnaError
from rsna.io import read_yaml, sha256_file
from rsna.plain import one_line
from rsna.preparation.detection.frame import letterbox, to_region
from rsna.preparation.detection.thumbnail import SIZE
from rsna.preparation.detection.yolox import decode_yolox
from rsna.preparation.picture import Region

WEIGHTS_FILE, CONFIG_FILE = "weights.safetensors", "config.yaml"
INPUT, OUTPUTS = "images", ["boxes", "scores"]  # of our own ONNX files

Network = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(B, 416, 416) uint8 to boxes (B, P, 4) as left, top, right, bottom in pixels, and scores (B, P)."""


@dataclass(frozen=True)
class Detection:
    """The best box of an image: its region, and how much the detector trusts it, in [0, 1]."""

    region: Region
    score: float


@dataclass(frozen=True)
class RegionDetector:
    """A network with a name.

    Attributes:
        path: Where it came from.
        digest: The SHA-256 of its file.
        network: The network.
    """

    path: Path
    digest: str
    network: Network

    def detect(self, thumbnails: list[np.ndarray]) -> list[Detection | None]:
        """The best box of each thumbnail (H, W) uint8; None where it has none."""
        if not thumbnails:
            return []
        boxes, scores = self.network(np.stack([letterbox(thumbnail) for thumbnail in thumbnails]))
        best = np.nan_to_num(scores, nan=-1.0).argmax(axis=1)
        return [
            _detection(boxes[i, k], float(scores[i, k]), thumbnail.shape)
            for i, (k, thumbnail) in enumerate(zip(best, thumbnails, strict=True))
        ]


def _detection(box: np.ndarray, score: float, shape: tuple[int, ...]) -> Detection | None:
    region = to_region(box, (shape[0], shape[1]))
    return Detection(region, min(score, 1.0)) if region is not None and score > 0 else None


def load_detector(path: Path) -> RegionDetector:
    """Load a detector.

    Args:
        path: The folder of a run of `rsna detect train`, or an ONNX file: ours, or YOLOX's with 416 pixels.

    Raises:
        InputError: For anything else, and where ONNX Runtime is missing.
    """
    if path.is_dir():
        weights = path / WEIGHTS_FILE
        if not weights.is_file():
            raise InputError(f"{path} holds no {WEIGHTS_FILE}; name the folder of a finished `rsna detect train`")
        return RegionDetector(path, sha256_file(weights), _torch_network(path))
    if path.suffix.lower() != ".onnx" or not path.is_file():
        raise InputError(f"{path} is neither the folder of a run nor an ONNX file")
    return RegionDetector(path, sha256_file(path), _onnx_network(path))


def read_module(run: Path) -> Any:
    """The network (`rsna.models.detector.Detector`) of a run's folder with its weights, to be evaluated."""
    from rsna.models import load_weights
    from rsna.models.detector import Detector

    config = load(DetectConfig, read_yaml(run / CONFIG_FILE), str(run / CONFIG_FILE))
    model = Detector(config.detector)
    load_weights(model, run / WEIGHTS_FILE)
    return model.eval()


def _torch_network(run: Path) -> Network:
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = read_module(run).to(device)

    def network(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            boxes, scores = model(torch.from_numpy(images).to(device)[:, None].float())
        return boxes.cpu().numpy(), scores.cpu().numpy()

    return network


def open_session(path: Path) -> Any:
    """An ONNX Runtime session on the CPU.

    Raises:
        InputError: Where the runtime is missing, or does not read the file.
    """
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError(f"running {path} needs ONNX Runtime: pip install rsna[export]") from error
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common ancestor of their own
        raise InputError(f"{path} is no ONNX network: {one_line(error)}") from error


def _onnx_network(path: Path) -> Network:
    session = open_session(path)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    ours = [output.name for output in outputs] == OUTPUTS
    channels = 1 if ours else 3
    shape = list(inputs[0].shape)
    one_picture = shape[:1] == [1] or not isinstance(shape[0], int)  # an open axis has a name or none
    fits = one_picture and shape[1:] == [channels, SIZE, SIZE]
    if len(inputs) != 1 or not fits or (not ours and len(outputs) != 1):
        raise InputError(
            f"{path} takes {shape} and gives {len(outputs)} outputs; a YOLOX network of (1, 3, {SIZE}, {SIZE}) with one"
            " output is needed, as its export_onnx makes it, or an export of `rsna detect export`"
        )

    def network(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = [_run(session, inputs[0].name, image, channels, path) for image in images]  # most have a batch of one
        decoded = [(a[0], b[0]) if ours else decode_yolox(a[0], str(path)) for a, b in found]
        return np.stack([boxes for boxes, _ in decoded]), np.stack([scores for _, scores in decoded])

    return network


def _run(session: Any, name: str, image: np.ndarray, channels: int, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last output for one picture; grey in all channels, so that BGR or RGB does not matter."""
    try:
        outputs = session.run(None, {name: np.tile(image.astype(np.float32), (1, channels, 1, 1))})
    except Exception as error:  # see `open_session`
        raise RsnaError(f"ONNX Runtime cannot run {path}: {one_line(error)}") from error
    return outputs[0], outputs[-1]
