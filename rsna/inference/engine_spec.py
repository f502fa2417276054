"""What a bundle says of its engines: the same models, translated for another runtime. Without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ENGINES = ("torch", "onnx", "openvino", "tensorrt")  # what `--engine` takes, `auto` aside
SUFFIXES = {"onnx": (".onnx",), "openvino": (".xml", ".bin"), "tensorrt": (".plan",)}  # the first one is loaded
ENGINE_LAW = 1e-3  # how far a probability of an engine may lie from the one of torch


@dataclass(frozen=True)
class EngineSpec:
    """All models of a bundle as one engine, `(B, V, C, H, W)` to logits `(B, M, T)`, in the members' order.

    Attributes:
        kind: The runtime.
        files: SHA-256 by plain file name: one per suffix of the kind.
        made_for: Of `tensorrt`: the GPU and the version that alone can load it. Empty elsewhere.
        made_by: The versions that wrote it.
        distance: The largest distance of a probability from torch's that was possible where it was made.
    """

    kind: Literal["onnx", "openvino", "tensorrt"]
    files: dict[str, str]
    made_for: str = ""
    made_by: str = ""
    distance: float = 0.0

    def __post_init__(self) -> None:
        if any(name != Path(name).name or "\\" in name or name.startswith(".") for name in self.files):
            raise ValueError(f"an engine's files have plain names, not {', '.join(self.files)}")
        if sorted(Path(name).suffix for name in self.files) != sorted(SUFFIXES[self.kind]):
            raise ValueError(f"an engine {self.kind} has one file each of {', '.join(SUFFIXES[self.kind])}")

    @property
    def main(self) -> str:
        """The file that is loaded."""
        return next(name for name in self.files if name.endswith(SUFFIXES[self.kind][0]))
