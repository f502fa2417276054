"""Learning rate schedules as pure functions of (epoch, optimiser step, scores so far): there is no state to lose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rsna.config.training import SchedulerSpec
from rsna.errors import InputError


@dataclass(frozen=True)
class Schedule:
    """A schedule over a training of known length.

    Attributes:
        spec: Its shape; `spec.unit` says what it counts.
        epochs: Of the whole training.
        steps: Optimiser steps per epoch.
    """

    spec: SchedulerSpec
    epochs: int
    steps: int

    @property
    def total(self) -> int:
        """The length of the training in the schedule's unit."""
        return self.epochs if self.spec.unit == "epoch" else self.epochs * self.steps

    def factor(self, epoch: int, step: int, scores: Sequence[float] = ()) -> float:
        """What every learning rate is multiplied by.

        Args:
            epoch: The current one, from 0.
            step: Optimiser steps made since the beginning of the training.
            scores: The monitored metric of the epochs so far, the higher the better.
        """
        spec, time = self.spec, epoch if self.spec.unit == "epoch" else step
        if time < spec.warmup:
            return _climb(spec, time / spec.warmup)
        if spec.name == "plateau":
            return max(spec.gamma ** count_drops(scores, spec.patience), spec.floor)
        length = self.total - spec.warmup - spec.cooldown
        time = min(time - spec.warmup, length)
        return _shape(spec, time / length, time)


def create_schedule(spec: SchedulerSpec, epochs: int, steps: int) -> Schedule:
    """The schedule of a spec over `epochs` epochs of `steps` optimiser steps.

    Raises:
        InputError: For a warm-up and cool-down that are as long as the training.
    """
    schedule = Schedule(spec, epochs, steps)
    if spec.warmup + spec.cooldown >= schedule.total:
        raise InputError(
            f"scheduler.warmup={spec.warmup} and cooldown={spec.cooldown} {spec.unit}s leave nothing of the training's"
            f" {schedule.total}; lower them"
        )
    return schedule


def count_drops(scores: Sequence[float], patience: int) -> int:
    """How often `patience` epochs in a row brought no better score."""
    best, waited, drops = -math.inf, 0, 0
    for score in scores:
        waited = 0 if score > best else waited + 1
        best = max(best, score) if score == score else best
        if waited == patience:
            drops, waited = drops + 1, 0
    return drops


def _climb(spec: SchedulerSpec, passed: float) -> float:
    """The warm-up: along a line, or half a cosine for one-cycle."""
    height = (1 - math.cos(math.pi * passed)) / 2 if spec.name == "onecycle" else passed
    return spec.warmup_start + (1 - spec.warmup_start) * height


def _shape(spec: SchedulerSpec, passed: float, time: int) -> float:
    """What follows the warm-up, at a fraction of the way to the cool-down and so many units after the warm-up."""
    drops = {
        "step": time // spec.every,
        "multistep": sum(time >= milestone for milestone in spec.milestones),
        "exponential": time,
    }
    if spec.name in drops:
        return max(spec.gamma ** drops[spec.name], spec.floor)
    heights = {
        "constant": 1.0,
        "cosine": (1 + math.cos(math.pi * passed)) / 2,
        "onecycle": (1 + math.cos(math.pi * passed)) / 2,
        "restarts": (1 + math.cos(math.pi * (time % spec.every) / spec.every)) / 2,
        "poly": (1 - passed) ** spec.power,
    }
    return spec.floor + (1 - spec.floor) * heights[spec.name]
