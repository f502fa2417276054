"""What a kernel is asked to do, checked here before it is pushed, and told to it in the notebook's first cell."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rsna.config import PrepareConfig, dump
from rsna.config.compose import compose
from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.kaggle.client import rehearsing
from rsna.kaggle.metadata import KINDS
from rsna.kaggle.settings import Settings
from rsna.preparation.shards import Shard

CONFIGS: dict[str, type] = {"prepare": PrepareConfig, "train": TrainConfig}
OPTIONS = {
    "overrides": ("--set", ("prepare", "train")),
    "shard": ("--shard", ("prepare",)),
    "folds": ("--folds", ("train",)),
    "resume": ("--resume", ("train",)),
    "bundle": ("--bundle", ("submit",)),
}  # what only some kernels take
SESSION_S = 12 * 3600  # the longest run that Kaggle allows
EMULATOR = "STORAGE_EMULATOR_HOST"  # where the bucket of a rehearsal is


@dataclass(frozen=True)
class RunRequest:
    """One run of a kernel.

    Attributes:
        kind: `prepare`, `train`, `library` or `submit`.
        overrides: Hydra overrides of `rsna prepare` or `rsna train`.
        shard: The part of the patients to prepare, as `i/n`.
        folds: How many the training makes where the prepared set brings none.
        resume: Go on with what the last training left.
        bundle: The local bundle that the one on Kaggle must be.
        seconds: After which Kaggle ends the run.
    """

    kind: str
    overrides: tuple[str, ...] = ()
    shard: str = "1/1"
    folds: int = 4
    resume: bool = False
    bundle: Path | None = None
    seconds: int = SESSION_S

    def check(self) -> None:
        """Raise `InputError` for what the kernel would fail on hours later: a typo, an option of another kernel."""
        if self.kind not in KINDS:
            raise InputError(f"there is no kernel {self.kind!r}; there are {', '.join(KINDS)}")
        for field in fields(self):
            option, kinds = OPTIONS.get(field.name, ("", KINDS))
            if self.kind not in kinds and getattr(self, field.name) != field.default:
                raise InputError(f"the kernel {self.kind} takes no {option}; only {' and '.join(kinds)} does")
        if not 60 <= self.seconds <= SESSION_S:
            raise InputError(f"--timeout {self.seconds}: a run may take from 60 to {SESSION_S} seconds")
        if self.folds < 2:
            raise InputError(f"--folds {self.folds}: there are at least 2")
        Shard.parse(self.shard)
        if any(override.lstrip("+~").startswith("env=") for override in self.overrides):
            raise InputError("--set env=… is the kernel's own: it finds out where things are")
        if self.kind in CONFIGS:
            compose(CONFIGS[self.kind], self.kind, self.overrides)

    def pushed(self, settings: Settings, code: str, bundle: str = "") -> dict[str, Any]:
        """What the notebook is told; never a secret.

        Args:
            settings: Of this checkout.
            code: The content hash that the mounted code must have.
            bundle: The digest that the mounted bundle must have.
        """
        emulator = {"storage_emulator": os.environ[EMULATOR]} if rehearsing() and EMULATOR in os.environ else {}
        return {
            "code": code,
            "bundle": bundle,
            "kind": self.kind,
            "overrides": list(self.overrides),
            "shard": self.shard,
            "folds": self.folds,
            "session_hours": self.seconds / 3600,
            "settings": dump(settings) | emulator,
        }
