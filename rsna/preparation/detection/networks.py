"""Detectors out of files: a run of `rsna detect train`, its ONNX export, or a YOLOX network that somebody brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rsna.config import load
from rsna.config.detector import DetectConfig
from rsna.errors import InputError
from rsna.imaging.detector import Network, RegionDetector
from rsna.imaging.detector_onnx import load_onnx
from rsna.io import read_yaml, sha256_file

WEIGHTS_FILE, CONFIG_FILE = "weights.safetensors", "config.yaml"


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
    return load_onnx(path)


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
