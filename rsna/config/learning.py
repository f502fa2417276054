"""What a training learns from and how: the specs of the groups around the loss, each checked across its fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class AugmentationSpec:
    """The group `augmentation`.

    Attributes:
        name: A set of `rsna.training.augmentation`.
        probability: Of augmenting an image at all.
    """

    name: Literal["none", "light", "medium", "heavy", "first_place", "sixth_place"] = "none"
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
    """The group `loss`: of the competition's targets, on logits.

    Attributes:
        name: `bce`, binary cross-entropy; `focal`, which discounts what is easy; `mse`, the squared error of the
            probabilities (Brier score); `aucpr`, a surrogate of the area under the precision-recall curve; `ce`,
            cross-entropy over targets that are the classes of one question.
        weight: Of this loss beside those of `auxiliary` heads.
        positive_weight: Multiplies the loss of positives, also in the surrogate.
        positive_smoothing: A target t becomes t * (1 - positive_smoothing), so that negatives stay at exactly 0.
        focal_gamma: How much `focal` discounts what is easy.
        aucpr_weight: Adds so much of the surrogate to another loss.
    """

    name: Literal["bce", "focal", "mse", "aucpr", "ce"] = "bce"
    weight: float = 1.0
    positive_weight: float = 1.0
    positive_smoothing: float = 0.0
    focal_gamma: float = 2.0
    aucpr_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.weight <= 0 or self.positive_weight <= 0 or not 0 <= self.positive_smoothing < 1:
            raise ValueError(
                "loss.weight and loss.positive_weight must be positive and loss.positive_smoothing lie in [0, 1)"
            )
        if self.focal_gamma < 0 or self.aucpr_weight < 0:
            raise ValueError("loss.focal_gamma and loss.aucpr_weight must not be negative")
        if self.name == "ce" and (self.positive_weight != 1 or self.positive_smoothing or self.aucpr_weight):
            raise ValueError("loss ce knows classes and no positives: neither positive_* nor aucpr_weight")
        if self.name == "aucpr" and self.aucpr_weight:
            raise ValueError("loss aucpr is the surrogate already; loss.aucpr_weight adds it to another loss")


@dataclass(frozen=True)
class AuxiliarySpec:
    """One entry of `auxiliary`: a further head that only helps to learn; it is not kept with the weights.

    Attributes:
        loss: `bce` for binary values, and for numbers that `scale` brings into [0, 1]; `mse` for any number; `ce` for
            classes, which are the values that the training side has.
        column: Of the image table; `aux_<name of the entry>` unless given.
        of: `own` for the image's own value, `other` for the mean of the patient's other scored units: the
            contralateral breast.
        weight: Multiplies its loss.
        scale: Divides the value.
        missing: Stands in for an unknown value, before scaling; null for unknown values to cost nothing.
        positive: The value of every image with a positive target, whatever the table says, before scaling.
    """

    loss: Literal["bce", "mse", "ce"] = "bce"
    column: str = ""
    of: Literal["own", "other"] = "own"
    weight: float = 1.0
    scale: float = 1.0
    missing: float | None = None
    positive: float | None = None

    def __post_init__(self) -> None:
        if self.weight <= 0 or self.scale <= 0:
            raise ValueError("auxiliary: weight and scale must be positive; leave out the entry to switch a head off")
        if self.loss == "ce" and (self.scale != 1 or self.missing is not None or self.positive is not None):
            raise ValueError("auxiliary: the classes of a ce head know neither scale nor missing nor positive")
        if self.loss == "ce" and self.of == "other":
            raise ValueError("auxiliary: a ce head is of the image's own class")


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
        name: `constant`; `cosine`; `restarts`, a cosine that begins anew after every `every` units; `onecycle`; `poly`;
            `exponential`, by `gamma` each unit; `step`, by `gamma` every `every` units; `multistep`, by `gamma` at each
            of `milestones`; `plateau`, by `gamma` where the score stays.
        unit: What `warmup`, `cooldown`, `every`, `milestones` and `patience` count, and when the factor changes: an
            epoch or an optimiser step.
        warmup: Units in which the factor climbs from `warmup_start` to 1.
        warmup_start: The factor at first, if there is a warm-up.
        floor: The factor never falls below it.
        cooldown: Units at the end in which the factor stays where it has arrived.
        every: Units between two drops of `step`, and of one turn of `restarts`.
        milestones: Units after the warm-up at which `multistep` drops.
        gamma: The factor of a drop.
        power: Of `poly`.
        patience: Epochs without a better score until `plateau` drops.
    """

    name: Literal["constant", "cosine", "restarts", "onecycle", "poly", "exponential", "step", "multistep", "plateau"]
    unit: Literal["epoch", "step"]
    warmup: int = 0
    warmup_start: float = 0.01
    floor: float = 0.0
    cooldown: int = 0
    every: int = 1
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    power: float = 1.0
    patience: int = 3

    def __post_init__(self) -> None:
        if min(self.warmup, self.cooldown) < 0 or self.every < 1 or self.patience < 1:
            raise ValueError(
                "scheduler.warmup and cooldown must not be negative, scheduler.every and patience at least 1"
            )
        if (self.name == "multistep") != bool(self.milestones) or list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("scheduler multistep needs milestones in rising order, and no other schedule has them")
        if not (0 < self.warmup_start <= 1 and 0 <= self.floor <= 1 and 0 < self.gamma < 1 and self.power > 0):
            raise ValueError("scheduler: warmup_start in (0, 1], floor in [0, 1], gamma in (0, 1), power > 0 is needed")
        if self.name == "plateau" and (self.unit != "epoch" or self.warmup or self.cooldown):
            raise ValueError(
                "scheduler plateau looks at the score of an epoch: it needs unit=epoch and warmup=0, and no cooldown"
            )
        if self.name == "onecycle" and (self.unit != "step" or not self.warmup):
            raise ValueError("scheduler onecycle needs unit=step and a warmup, counted in optimiser steps")
