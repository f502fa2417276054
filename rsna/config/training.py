"""The config of `rsna train` and the specs of its groups, checked across fields before anything is read or built."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from rsna.config.environment import CompetitionSpec, EnvSpec
from rsna.config.imaging import DataSpec
from rsna.config.model import ModelSpec
from rsna.config.tracking import TrackingSpec

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,=+-]*")


@dataclass(frozen=True)
class AugmentationSpec:
    """The group `augmentation`.

    Attributes:
        name: A set of `rsna.training.augmentation`.
        probability: Of augmenting an image at all.
    """

    name: Literal["none", "light", "medium"] = "none"
    probability: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"augmentation.probability must lie in [0, 1], got {self.probability}")


@dataclass(frozen=True)
class SamplerSpec:
    """The group `sampler`: which training images an epoch shows, and in which batches. Validation is never resampled.

    Attributes:
        name: `plain` shuffles; `balanced` also puts positives into every batch.
        positives_per_batch: At least so many positive images in every batch of `balanced`.
        oversample: Every positive image is shown so many times an epoch, each time augmented anew.
        negative_fraction: Every epoch draws this fraction of the negative images anew.
    """

    name: Literal["plain", "balanced"] = "plain"
    positives_per_batch: int = 1
    oversample: int = 1
    negative_fraction: float = 1.0

    def __post_init__(self) -> None:
        if self.positives_per_batch < 1 or self.oversample < 1:
            raise ValueError("sampler.positives_per_batch and sampler.oversample must be at least 1")
        if not 0 < self.negative_fraction <= 1:
            raise ValueError(f"sampler.negative_fraction must lie in (0, 1], got {self.negative_fraction}")


@dataclass(frozen=True)
class LossSpec:
    """The group `loss`: binary cross-entropy on logits.

    Attributes:
        positive_weight: Multiplies the loss of positives.
        positive_smoothing: A target t becomes t * (1 - positive_smoothing), so that negatives stay at exactly 0.
    """

    name: Literal["bce"] = "bce"
    positive_weight: float = 1.0
    positive_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if self.positive_weight <= 0 or not 0 <= self.positive_smoothing < 1:
            raise ValueError("loss.positive_weight must be positive and loss.positive_smoothing lie in [0, 1)")


@dataclass(frozen=True)
class OptimizerSpec:
    """The group `optimizer`.

    Attributes:
        name: Any optimiser of timm, which has torch's among them.
        lr: Learning rate of the backbone.
        head_lr: Learning rate of what follows the backbone; null for `lr`.
        weight_decay: Of weights; biases and norms have none.
        options: Further arguments of the optimiser, for instance `momentum` or `betas`.
    """

    name: str = "adamw"
    lr: float = 3e-4
    head_lr: float | None = None
    weight_decay: float = 0.01
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.lr <= 0 or (self.head_lr is not None and self.head_lr <= 0) or self.weight_decay < 0:
            raise ValueError("optimizer.lr and optimizer.head_lr must be positive, optimizer.weight_decay not negative")


@dataclass(frozen=True)
class SchedulerSpec:
    """The group `scheduler`: a factor on every learning rate, constant within a unit.

    Attributes:
        unit: What `warmup`, `every` and `patience` count, and when the factor changes: an epoch or an optimiser step.
        warmup: Units in which the factor climbs from `warmup_start` to 1.
        warmup_start: The factor at first, if there is a warm-up.
        floor: The factor never falls below it.
        every: Units between two drops of `step`.
        gamma: The drop of `step` and of `plateau`.
        power: Of `poly`.
        patience: Epochs without a better score until `plateau` drops.
    """

    name: Literal["constant", "cosine", "step", "poly", "onecycle", "plateau"]
    unit: Literal["epoch", "step"]
    warmup: int = 0
    warmup_start: float = 0.01
    floor: float = 0.0
    every: int = 1
    gamma: float = 0.1
    power: float = 1.0
    patience: int = 3

    def __post_init__(self) -> None:
        if self.warmup < 0 or self.every < 1 or self.patience < 1:
            raise ValueError("scheduler.warmup must not be negative, scheduler.every and scheduler.patience at least 1")
        if not (0 < self.warmup_start <= 1 and 0 <= self.floor <= 1 and 0 < self.gamma < 1 and self.power > 0):
            raise ValueError("scheduler: warmup_start in (0, 1], floor in [0, 1], gamma in (0, 1), power > 0 is needed")
        if self.name == "plateau" and (self.unit != "epoch" or self.warmup):
            raise ValueError("scheduler plateau looks at the score of an epoch: it needs unit=epoch and warmup=0")
        if self.name == "onecycle" and (self.unit != "step" or not self.warmup):
            raise ValueError("scheduler onecycle needs unit=step and a warmup, counted in optimiser steps")


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
class TrainerSpec:
    """The group `trainer`: how long, how large, on what.

    Attributes:
        epochs: At most so many.
        batch_size: Images per device and forward pass.
        accumulate: Forward passes per optimiser step.
        effective_batch: Images per optimiser step over all devices; null for batch_size x accumulate x devices. When
            given, `accumulate` follows from it, so that another batch size or device count trains the same.
        devices: Processes, one per GPU.
        threads: Of a CPU, per process; 0 for as many as it has cores. A small network is quicker with one: threads that
            wait for each other gain nothing and hold up whatever else runs.
        accelerator: Where it runs; `auto` takes a GPU if there is one.
        precision: Floating point: full, or mixed with half or bfloat16.
        clip: Gradients are scaled down to this norm; 0 for never.
        ema: The moving average of the weights.
        patience: Stop after so many epochs without a better score (the competition's `monitor`); 0 for never.
        tables: Keep the image and unit predictions of every epoch.
        last_weights: Keep the weights of the last epoch too (their average, if there is one).
    """

    epochs: int = 10
    batch_size: int = 16
    accumulate: int = 1
    effective_batch: int | None = None
    devices: int = 1
    threads: int = 0
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["32", "16-mixed", "bf16-mixed"] = "32"
    clip: float = 0.0
    ema: EmaSpec = field(default_factory=EmaSpec)
    patience: int = 0
    tables: bool = False
    last_weights: bool = False

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.accumulate, self.devices) < 1:
            raise ValueError("trainer.epochs, batch_size, accumulate and devices must be at least 1")
        if min(self.clip, self.patience, self.threads) < 0:
            raise ValueError("trainer.clip, patience and threads must not be negative")
        if self.effective_batch is not None:
            if self.accumulate != 1:
                raise ValueError("give trainer.effective_batch or trainer.accumulate, not both")
            if self.effective_batch < 1 or self.effective_batch % (self.batch_size * self.devices):
                raise ValueError(
                    f"trainer.effective_batch={self.effective_batch} is no multiple of batch_size x devices ="
                    f" {self.batch_size * self.devices}"
                )

    @property
    def accumulation(self) -> int:
        """Forward passes per optimiser step."""
        if self.effective_batch is None:
            return self.accumulate
        return self.effective_batch // (self.batch_size * self.devices)


@dataclass(frozen=True)
class TrainConfig:
    """The config of `rsna train` (`conf/train.yaml`).

    Attributes:
        name: The run folder is `<env.runs>/<name>/fold_<fold>/`.
        fold: The fold to validate on, or `all` for one after the other.
        seed: Of the initial weights, the order, the augmentation and dropout.
        deterministic: Refuse operations that may differ from run to run on a GPU (see docs/reproducibility.md).
        limit: Use only so many images on each side of the split, for trials; 0 for all.
    """

    name: str
    competition: CompetitionSpec
    env: EnvSpec
    scheduler: SchedulerSpec
    data: DataSpec = field(default_factory=DataSpec)
    augmentation: AugmentationSpec = field(default_factory=AugmentationSpec)
    sampler: SamplerSpec = field(default_factory=SamplerSpec)
    model: ModelSpec = field(default_factory=ModelSpec)
    loss: LossSpec = field(default_factory=LossSpec)
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
        if self.sampler.name == "balanced" and self.sampler.positives_per_batch >= self.trainer.batch_size:
            raise ValueError("sampler.positives_per_batch must be smaller than trainer.batch_size")
        if self.scheduler.unit == "epoch" and self.scheduler.warmup >= self.trainer.epochs:
            raise ValueError(
                f"scheduler.warmup={self.scheduler.warmup} epochs leave nothing of trainer.epochs="
                f"{self.trainer.epochs}; lower it, or count in steps with scheduler.unit=step"
            )
