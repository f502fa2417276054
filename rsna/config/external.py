"""The group `external`: other data sets, on the training side only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ExternalSpec:
    """Prepared external sets (`rsna data import`) that join the training side of every fold, never the validation.

    Attributes:
        sets: Their folders, prepared with the settings of the competition's set.
        mode: `mixed` adds them to the competition's images; `alone` trains on them only, for a run to start from.
        pseudo_labels: A table of predictions that become targets of their images; empty for none.
        relabel: Which images get those: the ones without a target, or all.
    """

    sets: tuple[str, ...] = ()
    mode: Literal["mixed", "alone"] = "mixed"
    pseudo_labels: str = ""
    relabel: Literal["unknown", "all"] = "unknown"

    def __post_init__(self) -> None:
        if not self.sets and (self.mode == "alone" or self.pseudo_labels):
            raise ValueError("external.mode=alone and external.pseudo_labels need external.sets")
        if len(set(self.sets)) < len(self.sets):
            raise ValueError("external.sets names a set twice")
