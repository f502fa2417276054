"""torch to ONNX: the form that the other runtimes read too."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rsna.errors import InputError, RsnaError
from rsna.inference.engines import Stacked, trial_pictures
from rsna.plain import one_line

MAX_BYTES = 2 * 10**9  # of weights in one ONNX file, which is a protobuf message


def export_onnx(models: Sequence[nn.Module], shape: Sequence[int], path: Path) -> None:
    """Write models as one ONNX graph with an open batch size.

    Args:
        models: Each maps `(B, V, C, H, W)` to logits `(B, T)`.
        shape: `(V, C, H, W)`.
        path: The file; its input is `images`, its output `logits` `(B, M, T)`.

    Raises:
        InputError: For models that do not fit into one file.
        RsnaError: Where torch cannot translate them, or the exporter is missing.
    """
    stacked = Stacked(models).eval()
    size = sum(tensor.numel() * tensor.element_size() for tensor in stacked.state_dict().values())
    if size > MAX_BYTES:
        raise InputError(f"{size / 1e9:.1f} GB of weights do not fit into an ONNX file; export a bundle of fewer folds")
    images = trial_pictures((2, *shape))
    open_batch = ({0: torch.export.Dim.DYNAMIC},)
    options: dict[str, Any] = {"input_names": ["images"], "output_names": ["logits"], "verbose": False}
    options |= {"dynamo": True, "external_data": False}  # one file
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(stacked, (images,), path, dynamic_shapes=open_batch, **options)
    except ImportError as error:
        raise RsnaError("the export needs onnx and onnxscript: pip install rsna[export]") from error
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise RsnaError(f"torch cannot translate the models to ONNX: {one_line(error)[:300]}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's advice on its own internals is for its authors."""
    talkers = [logging.getLogger(name) for name in ("onnxscript", "torch.onnx", "onnx_ir")]
    levels = [talker.level for talker in talkers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for talker in talkers:
            talker.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for talker, level in zip(talkers, levels, strict=True):
                talker.setLevel(level)
