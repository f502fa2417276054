"""The detector that finds regions: its network, and the config of `rsna detect train`."""

from __future__ import annotations

from dataclasses import dataclass, field

from rsna.config.environment import CompetitionSpec, EnvSpec
from rsna.config.learning import OptimizerSpec, SchedulerSpec


@dataclass(frozen=True)
class DetectorSpec:
    """The group `detector`: FCOS (Tian et al., 2019) on one level of a backbone.

    Attributes:
        backbone: Any timm model that gives its features.
        focus: Squares of so many pixels become the backbone's channels, so that it works on a small picture without
            losing any; 1 for the pixels themselves.
        level: The backbone's level of features whose cells predict boxes, from 0.
        channels: Of the head; a multiple of 32.
        convolutions: In each of the head's two branches; they let a cell see the whole breast.
        size: Pixels of the unit that the sides of a box are predicted in.
        radius: Cells within so many units of a box's centre learn to predict it.
    """

    backbone: str = "resnet10t"
    focus: int = 4
    level: int = 2
    channels: int = 64
    convolutions: int = 4
    size: int = 64
    radius: float = 1.5

    def __post_init__(self) -> None:
        if min(self.focus, self.convolutions, self.size) < 1 or self.level < 0 or self.radius <= 0:
            raise ValueError("detector.focus, convolutions, size and radius must be positive, level not negative")
        if self.channels < 32 or self.channels % 32:
            raise ValueError(f"detector.channels must be a multiple of 32, got {self.channels}")


@dataclass(frozen=True)
class DetectConfig:
    """The config of `rsna detect train` (`conf/detect.yaml`).

    Attributes:
        competition: What the paths of `env` are named after.
        env: The run goes to `<env.runs>/<name>/`; `env.workers` decode.
        optimizer: The group `optimizer`.
        scheduler: The group `scheduler`.
        images: The folder of the images, searched with all that is below it.
        boxes: Their table, as `rsna data boxes` makes it; a file's name without its suffix is the image's id.
        name: Of the run.
        detector: The network.
        epochs: How long.
        batch_size: Images per step.
        ema: Decay of the averaged weights, which are the ones that are kept; with a warm-up.
        clip: Gradients are scaled down to this norm.
        threads: Of a CPU, as of `trainer.threads`.
        held_out: The fraction of the patients (the folders next to the images) that only the evaluation sees.
        seed: Of weights, order and flips.
    """

    competition: CompetitionSpec
    env: EnvSpec
    optimizer: OptimizerSpec
    scheduler: SchedulerSpec
    images: str
    boxes: str
    name: str = "detector"
    detector: DetectorSpec = field(default_factory=DetectorSpec)
    epochs: int = 10
    batch_size: int = 8
    ema: float = 0.98
    clip: float = 5.0
    threads: int = 0
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or self.threads < 0:
            raise ValueError("epochs must be at least 1, batch_size at least 2, threads not negative")
        if not (0 <= self.ema < 1 and self.clip > 0 and 0 < self.held_out < 1):
            raise ValueError("ema must lie in [0, 1), clip be positive, held_out lie between 0 and 1")
        if not self.name or self.name.startswith((".", "/")) or ".." in self.name:
            raise ValueError(f"{self.name!r} is no name of a run")
