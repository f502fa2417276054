"""A trained detector as an ONNX file, checked against torch."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from rsna.errors import InputError, RsnaError
from rsna.imaging.detector_onnx import INPUT, OUTPUTS
from rsna.io import atomic_path
from rsna.models.detector import INPUT_SIZE
from rsna.plain import one_line
from rsna.preparation.detection.networks import load_detector, read_module

TOLERANCE = 1e-3  # of scores, and of boxes in units of the input's side


def export_detector(run: Path, out: Path) -> float:
    """Write the network of a run's folder as an ONNX file for `rsna detect predict`.

    Its input is `images` (1, 1, 416, 416), grey values in [0, 255]; its outputs are `boxes` (1, P, 4), in pixels, and
    `scores` (1, P).

    Returns:
        The largest difference from torch, in units of scores and of the input's side.

    Raises:
        InputError: Where the folder holds no run, or onnx, onnxscript or ONNX Runtime are missing.
        RsnaError: Where torch cannot translate the network, or the file differs from it.
    """
    if out.suffix != ".onnx":
        raise InputError(f"cannot write {out}: the name must end in .onnx")
    if not run.is_dir():
        raise InputError(f"{run} is no folder; name the folder of a finished `rsna detect train`")
    reference = load_detector(run)
    with atomic_path(out) as part:
        _write(run, part)
        images = _trial_images()
        expected, found = reference.network(images), load_detector(part).network(images)
        difference = max(
            float(np.abs(a - b).max()) / scale for a, b, scale in zip(expected, found, (INPUT_SIZE, 1.0), strict=True)
        )
        if not difference <= TOLERANCE:
            raise RsnaError(f"the ONNX file differs from torch by {difference:.2g}; it was not written")
    return difference


def _write(run: Path, path: Path) -> None:
    model = read_module(run)
    example = torch.from_numpy(_trial_images()[:1])[:, None].float()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter's advice on its own internals
            torch.onnx.export(
                model, (example,), path, dynamo=True, external_data=False, verbose=False,
                input_names=[INPUT], output_names=OUTPUTS,
            )  # fmt: skip
    except ImportError as error:
        raise InputError(
            f"the export needs onnx and onnxscript ({one_line(error)}): pip install rsna[export]"
        ) from error
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise RsnaError(f"torch cannot translate the detector to ONNX: {one_line(error)}") from error


def _trial_images() -> np.ndarray:
    """Pictures (2, 416, 416) uint8 of noise, and of a bright ellipse on dark air."""
    rows, columns = np.mgrid[:INPUT_SIZE, :INPUT_SIZE]
    noise = np.random.default_rng(0).integers(0, 256, (INPUT_SIZE, INPUT_SIZE))
    breast = 150 * (((rows - 200) / 150) ** 2 + (columns / 180) ** 2 < 1)
    return np.stack([noise, breast]).astype(np.uint8)
