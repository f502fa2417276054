"""How to predict, and what Kaggle says of the run. Without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class PredictOptions:
    """How to predict; nothing in here changes what is predicted by more than rounding, `tta` and `amp` aside.

    Attributes:
        workers: Decoding processes; -1 for one per core.
        batch_size: Images per planned batch.
        device: `auto`, `cpu`, `cuda`.
        tta: Test-time augmentations instead of the bundle's.
        amp: Mixed precision.
        engine: `torch`, `onnx`, `openvino`, `tensorrt`; `auto` for the fastest of the bundle's that agrees with torch.
        time_limit: Seconds until the submission must lie there; None for Kaggle's there, and no limit elsewhere.
    """

    workers: int = -1
    batch_size: int = 16
    device: str = "auto"
    tta: tuple[str, ...] = ()
    amp: bool = False
    time_limit: float | None = None
    engine: str = "auto"


DEFAULTS = PredictOptions()


def is_rerun() -> bool:
    """Whether Kaggle is running this notebook on the hidden test, where nobody can look and every row counts."""
    return bool(os.environ.get("KAGGLE_IS_COMPETITION_RERUN"))


def on_kaggle() -> bool:
    """Whether this is a Kaggle kernel."""
    return is_rerun() or bool(os.environ.get("KAGGLE_KERNEL_RUN_TYPE"))
