"""What a batch is predicted with, and what is given up, step by step, where time is short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rsna.config import ImagingSpec, InputSpec
from rsna.inference.options import PredictOptions
from rsna.inference.schema import BundleSpec, Member, Step

LEAST_SIDE = 8  # pixels


@dataclass(frozen=True)
class Setting:
    """Models, augmentations and resolution.

    Attributes:
        members: The models.
        tta: Test-time augmentations.
        divide: Both sides of the pictures are divided by it.
    """

    members: tuple[Member, ...]
    tta: tuple[str, ...]
    divide: int = 1

    def after(self, step: Step) -> Setting:
        """What a step leaves."""
        if step == "no-tta":
            return replace(self, tta=("none",) if "none" in self.tta else self.tta[:1])
        if step == "half-members":
            return replace(self, members=self.members[: (len(self.members) + 1) // 2])
        if step == "one-member":
            return replace(self, members=self.members[:1])
        return replace(self, divide=2)

    def imaging(self, spec: ImagingSpec) -> ImagingSpec:
        """How files become pictures."""
        return replace(spec, height=self._side(spec.height), width=self._side(spec.width))

    def input(self, spec: InputSpec) -> InputSpec:
        """What the models see of them."""
        return replace(spec, height=self._side(spec.height), width=self._side(spec.width))

    def _side(self, pixels: int) -> int:
        return pixels if self.divide == 1 else max(LEAST_SIDE, pixels // self.divide)


def make_setting(spec: BundleSpec, options: PredictOptions, steps: Sequence[Step] = ()) -> Setting:
    """The setting of a bundle after some steps."""
    setting = Setting(spec.members, options.tta or spec.tta)
    for step in steps:
        setting = setting.after(step)
    return setting


def next_steps(spec: BundleSpec, setting: Setting, taken: Sequence[Step]) -> list[Step]:
    """The steps of a bundle that come after those that were taken and would change something, in its order."""
    left = list(spec.step_down)
    for step in taken:
        left = left[left.index(step) + 1 :] if step in left else left
    return [step for step in left if setting.after(step) != setting]
