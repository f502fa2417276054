"""The config of `rsna train`, checked across its groups before anything is read or built."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rsna.config.environment import CompetitionSpec, EnvSpec
from rsna.config.external import ExternalSpec
from rsna.config.imaging import DataSpec
from rsna.config.learning import (
    AugmentationSpec,
    AuxiliarySpec,
    LossSpec,
    OptimizerSpec,
    SamplerSpec,
    SchedulerSpec,
)
from rsna.config.model import ModelSpec
from rsna.config.tracking import TrackingSpec

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,=+-]*")


@dataclass(frozen=True)
class EmaSpec:
    """The moving average of the weights, which is then what is validated, kept and submitted.

    Attributes:
        decay: Per optimiser step; 0 for no average.
        warmup: Let the decay grow as 1 - (1 + step)^(-2/3) until it reaches `decay`, for short trainings.
    """

    decay: float = 0.0
    warmup: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ValueError(f"trainer.ema.decay must lie in [0, 1), got {self.decay}")


@dataclass(frozen=True)
class SwaSpec:
    """The plain mean of the weights at the ends of the last epochs (Izmailov et al., arXiv:1803.05407).

    Attributes:
        start: The first epoch, from 0, whose weights count; null for no such mean. From then on the mean is validated.
    """

    start: int | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.start < 0:
            raise ValueError("trainer.swa.start must not be negative")


@dataclass(frozen=True)
class KeepSpec:
    """Whose weights stay, beside those of the best epoch; with them the predictions of every epoch.

    Attributes:
        top: The so many best epochs.
        every: Every so many epochs, the last of each; 0 for none.
    """

    top: int = 0
    every: int = 0

    def __post_init__(self) -> None:
        if min(self.top, self.every) < 0:
            raise ValueError("trainer.keep.top and trainer.keep.every must not be negative")

    @property
    def some(self) -> bool:
        """Whether any weights are kept."""
        return bool(self.top or self.every)

    def epochs(self, scores: Sequence[float]) -> set[int]:
        """The epochs from 0 whose weights stay, given the score of every epoch so far, the higher the better."""
        best = sorted(range(len(scores)), key=lambda epoch: (-scores[epoch], epoch))[: self.top]
        return {*best, *(range(self.every - 1, len(scores), self.every) if self.every else ())}


@dataclass(frozen=True)
class TrainerSpec:
    """The group `trainer`: how long, how large, on what.

    Attributes:
        epochs: At most so many.
        batch_size: Images per device and forward pass.
        accumulate: Forward passes per optimiser step.
        effective_batch: Images per optimiser step over all devices; null for batch_size x accumulate x devices. When
            given, `accumulate` follows from it, so that another batch size or device count trains the same.
        devices: Processes per machine, one per GPU.
        nodes: Machines that train together.
        threads: Of a CPU, per process; 0 for as many as it has cores. A small network is quicker with one: threads that
            wait for each other gain nothing and hold up whatever else runs.
        accelerator: Where it runs; `auto` takes a GPU if there is one.
        precision: Floating point: full, or mixed with half or bfloat16.
        clip: Gradients are scaled down to this norm; 0 for never.
        ema: The moving average of the weights.
        swa: The mean of the last epochs' weights.
        sync_bn: Let batch norm see the batches of all GPUs; nothing changes on one.
        channels_last: Keep pictures with their channels last, which convolutions in mixed precision on a GPU prefer.
        compile: Translate the backbone for the device (`torch.compile`): minutes at first, then faster.
        patience: Stop after so many epochs without a better score (the competition's `monitor`); 0 for never.
        tables: Keep the image and unit predictions of every epoch.
        keep: Whose weights stay for a choice between epochs (`rsna collect --select`).
        last_weights: Keep the weights of the last epoch too (their average, if there is one).
    """

    epochs: int = 10
    batch_size: int = 16
    accumulate: int = 1
    effective_batch: int | None = None
    devices: int = 1
    nodes: int = 1
    threads: int = 0
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["32", "16-mixed", "bf16-mixed"] = "32"
    clip: float = 0.0
    ema: EmaSpec = field(default_factory=EmaSpec)
    swa: SwaSpec = field(default_factory=SwaSpec)
    sync_bn: bool = False
    channels_last: bool = False
    compile: bool = False
    patience: int = 0
    tables: bool = False
    keep: KeepSpec = field(default_factory=KeepSpec)
    last_weights: bool = False

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.accumulate, self.devices, self.nodes) < 1:
            raise ValueError("trainer.epochs, batch_size, accumulate, devices and nodes must be at least 1")
        if min(self.clip, self.patience, self.threads) < 0:
            raise ValueError("trainer.clip, patience and threads must not be negative")
        if self.swa.start is not None and (self.ema.decay or self.swa.start >= self.epochs):
            raise ValueError("trainer.swa.start must be an epoch of the training, and trainer.ema.decay must be 0")
        if self.effective_batch is not None:
            if self.accumulate != 1:
                raise ValueError("give trainer.effective_batch or trainer.accumulate, not both")
            if self.effective_batch < 1 or self.effective_batch % (self.batch_size * self.processes):
                raise ValueError(
                    f"trainer.effective_batch={self.effective_batch} is no multiple of batch_size x devices x nodes ="
                    f" {self.batch_size * self.processes}"
                )

    @property
    def processes(self) -> int:
        """Processes over all machines."""
        return self.devices * self.nodes

    @property
    def accumulation(self) -> int:
        """Forward passes per optimiser step."""
        if self.effective_batch is None:
            return self.accumulate
        return self.effective_batch // (self.batch_size * self.processes)


@dataclass(frozen=True)
class TrainConfig:
    """The config of `rsna train` (`conf/train.yaml`).

    Attributes:
        name: The run folder is `<env.runs>/<name>/fold_<fold>/`.
        fold: The fold to validate on, or `all` for one after the other.
        auxiliary: Further heads by name, which only help to learn.
        external: Other data sets, on the training side only.
        seed: Of the initial weights, the order, the augmentation and dropout.
        deterministic: Refuse operations that may differ from run to run on a GPU (see docs/reproducibility.md).
        limit: Use only so many images on each side of the split, for trials; 0 for all.
    """

    name: str
    competition: CompetitionSpec
    env: EnvSpec
    scheduler: SchedulerSpec
    data: DataSpec = field(default_factory=DataSpec)
    external: ExternalSpec = field(default_factory=ExternalSpec)
    augmentation: AugmentationSpec = field(default_factory=AugmentationSpec)
    sampler: SamplerSpec = field(default_factory=SamplerSpec)
    model: ModelSpec = field(default_factory=ModelSpec)
    loss: LossSpec = field(default_factory=LossSpec)
    auxiliary: dict[str, AuxiliarySpec] = field(default_factory=dict)
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    trainer: TrainerSpec = field(default_factory=TrainerSpec)
    tracking: TrackingSpec = field(default_factory=TrackingSpec)
    fold: int | Literal["all"] = 0
    seed: int = 0
    deterministic: bool = False
    limit: int = 0

    def __post_init__(self) -> None:
        if not RUN_NAME.fullmatch(self.name):
            raise ValueError(
                f"name {self.name!r} must begin with a letter or digit and hold only those and _ . , = + -"
            )
        if (self.fold != "all" and self.fold < 0) or self.seed < 0 or self.limit < 0:
            raise ValueError("fold, seed and limit must not be negative")
        if self.limit == 1:
            raise ValueError("limit must leave a positive and a negative image on each side: take at least 2")
        if self.model.freeze.epochs >= self.trainer.epochs:
            raise ValueError("model.freeze.epochs leaves no epoch in which the backbone is trained")
        if any(not RUN_NAME.fullmatch(name) or "." in name for name in self.auxiliary):
            raise ValueError("the names of auxiliary heads hold letters, digits and _ only")
        if (self.loss.name == "ce") != (self.model.activation == "softmax"):
            raise ValueError("loss ce and model.activation=softmax need each other; loss=ce sets both")
        if self.sampler.name == "balanced" and self.sampler.positives_per_batch >= self.trainer.batch_size:
            raise ValueError("sampler.positives_per_batch must be smaller than trainer.batch_size")
        waiting = self.scheduler.warmup + self.scheduler.cooldown
        if self.scheduler.unit == "epoch" and waiting >= self.trainer.epochs:
            raise ValueError(
                f"scheduler.warmup and cooldown, {waiting} epochs, leave nothing of trainer.epochs="
                f"{self.trainer.epochs}; lower them, or count in steps with scheduler.unit=step"
            )
