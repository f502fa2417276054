"""What a run is about and where things are: the groups `competition` and `env`, and the config of `rsna prepare`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rsna.config.imaging import DataSpec


@dataclass(frozen=True)
class CompetitionSpec:
    """The group `competition`.

    Attributes:
        name: A registered competition.
        aggregation: How image predictions become one prediction per scored unit.
    """

    name: str = "breast"
    aggregation: Literal["mean", "max", "min", "median", "noisy_or"] = "mean"


@dataclass(frozen=True)
class EnvSpec:
    """The group `env`: every path of a run. Relative ones start at the current folder.

    Attributes:
        data: The competition's files as downloaded.
        prepared: The prepared data set.
        folds: The table image_id, fold; empty for folds made by `rsna folds` inside the prepared set.
        runs: Training runs go to `<runs>/<name>/fold_<k>/`.
        workers: Processes that decode or load; -1 for one per core.
    """

    data: str
    prepared: str
    runs: str = "runs"
    folds: str = ""
    workers: int = -1


@dataclass(frozen=True)
class PrepareConfig:
    """The config of `rsna prepare` (`conf/prepare.yaml`).

    Attributes:
        boxes: Where regions come from: a detector (an ONNX file), in preparation and submission alike, or a table
            (`rsna.preparation.boxes`), which a submission does not have; empty to find them all by `data.imaging.roi`.
        box_score: A box of a lower score is distrusted, and the region found by `data.imaging.roi`.
    """

    competition: CompetitionSpec
    env: EnvSpec
    data: DataSpec = field(default_factory=DataSpec)
    boxes: str = ""
    box_score: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.box_score <= 1:
            raise ValueError(f"box_score must lie in [0, 1], got {self.box_score}")

    @property
    def detector(self) -> str:
        """The file of a detector, where `boxes` is one; else empty."""
        return self.boxes if self.boxes.lower().endswith(".onnx") else ""
