"""How a file becomes a picture, and how the picture becomes the model's input."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class RoiSpec:
    """Which part of the image is kept.

    Attributes:
        method: `threshold` and `otsu` find the breast; `none` keeps the whole frame.
        margin: Added on every side, as a fraction of the region's own side.
        min_area: A region smaller than this fraction of the image is distrusted, and the whole frame kept.
    """

    method: Literal["none", "threshold", "otsu"] = "threshold"
    margin: float = 0.02
    min_area: float = 0.04

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= 1 or not 0 <= self.min_area < 1:
            raise ValueError("roi.margin must lie in [0, 1] and roi.min_area in [0, 1)")


DETECTOR_FILE = "detector.onnx"  # its name in a prepared set and in a bundle


@dataclass(frozen=True)
class DetectorFile:
    """An ONNX detector whose boxes are the regions, where they can be trusted; `RoiSpec` says what is done elsewhere.

    Attributes:
        sha256: Of the file, which lies beside the pictures or weights that were made with it.
        score: A box of a lower score is distrusted, as is one smaller than `RoiSpec.min_area`.
    """

    sha256: str
    score: float = 0.5

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{64}", self.sha256) or not 0 <= self.score <= 1:
            raise ValueError("detector.sha256 must be 64 hexadecimal digits, and detector.score lie in [0, 1]")


@dataclass(frozen=True)
class ImagingSpec:
    """How `rsna prepare` and `rsna predict` turn a file into a picture; both call the same function with it.

    Attributes:
        height: Rows of the prepared picture, pixels.
        width: Columns of the prepared picture, pixels.
        keep_aspect: Fit inside height x width and pad with black, or stretch.
        bits: Bits per pixel of the prepared picture.
        voi: `header` applies the file's VOI LUT or window (its first one) and min-max where it has none;
            `minmax` stretches the stored values of the region.
        decode: `reduced` decodes JPEG 2000 only as finely as the picture needs it; `full` decodes everything and then
            shrinks it, which is slower and differs by less than half a grey level on average (docs/imaging.md).
        roi: Which part of the image is kept.
    """

    height: int = 1024
    width: int = 512
    keep_aspect: bool = True
    bits: Literal[8, 16] = 8
    voi: Literal["header", "minmax"] = "header"
    decode: Literal["reduced", "full"] = "reduced"
    roi: RoiSpec = field(default_factory=RoiSpec)

    def __post_init__(self) -> None:
        if not (8 <= self.height <= 16384 and 8 <= self.width <= 16384):
            raise ValueError(f"height and width must lie in 8..16384 pixels, got {self.height}x{self.width}")


@dataclass(frozen=True)
class InputSpec:
    """What the model sees of a prepared picture.

    Attributes:
        height: Rows, pixels.
        width: Columns, pixels.
        channels: 1, or 3 equal channels for backbones with coloured weights.
        mean: Subtracted from values in [0, 1].
        std: Divides the result.
    """

    height: int = 1024
    width: int = 512
    channels: Literal[1, 3] = 1
    mean: float = 0.485
    std: float = 0.229

    def __post_init__(self) -> None:
        if not (8 <= self.height <= 16384 and 8 <= self.width <= 16384):
            raise ValueError(f"the model's input must have 8..16384 pixels a side, got {self.height}x{self.width}")
        if self.std <= 0:
            raise ValueError(f"input.std must be positive, got {self.std}")


@dataclass(frozen=True)
class DataSpec:
    """The group `data`: the prepared picture and what the model sees of it."""

    imaging: ImagingSpec = field(default_factory=ImagingSpec)
    input: InputSpec = field(default_factory=InputSpec)
