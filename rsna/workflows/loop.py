"""The loop: code, wheels, prepared pictures, training, bundle, submission, score; each stage by our own commands.

`walk` goes through all of it and leaves out what an earlier walk has done with the same code, data and options. A
single stage is always done again, and says what has to come before it. What was interrupted is taken up where it is.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rsna.config import load
from rsna.errors import InputError
from rsna.io import digest, read_json, write_json
from rsna.kaggle.run import KERNELS
from rsna.kaggle.snapshot import take_snapshot
from rsna.local_kaggle.sessions import ACTIVE
from rsna.workflows.rehearse import STATE, Rehearsal, StepError
from rsna.workflows.rehearse_report import VCPU_FACTOR, Session, keep_scored, submit_report, submit_sessions

HISTORY = STATE / "rehearsal.json"  # beside what it speaks of: who deletes the one deletes the other
BUNDLE = Path("models/rehearsal")
SUBMISSION = Path("submission.csv")
MLFLOW = Path(sys.executable).with_name("mlflow")
PAGE = "http://127.0.0.1:5000/#/experiments?workflowType=machine_learning"
NEEDS: dict[str, tuple[str, ...]] = {
    "library": (),
    "prepare": ("library",),
    "train": ("prepare",),
    "submit": ("library", "train"),
}
STAGES = tuple(NEEDS)


@dataclass(frozen=True)
class Options:
    """What the stages are told.

    Attributes:
        prepare: Hydra overrides of `rsna prepare`.
        train: Hydra overrides of `rsna train`.
        folds: How many folds the training makes.
        bundle: A bundle to submit instead of the one that the rehearsed training gives.
        vcpu_factor: How much longer one of Kaggle's processors takes than a core here.
    """

    prepare: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    folds: int = 4
    bundle: Path | None = None
    vcpu_factor: float = VCPU_FACTOR


@dataclass(frozen=True)
class Past:
    """What is remembered of a stage: the hash of what it depended on, and whether it came to its end."""

    key: str
    done: bool


class Loop:
    """The stages of one rehearsal."""

    def __init__(self, on: Rehearsal, options: Options) -> None:
        """Nothing is run before a stage is asked for."""
        self.on = on
        self.options = options
        path = on.folder / HISTORY
        known = read_json(path) if path.exists() else {}
        self.history = {name: load(Past, past, str(path)) for name, past in known.items()}

    def walk(self) -> None:
        """Go through all stages; those whose inputs have not changed since they were done are left out."""
        keys = self._keys()
        waiting = [name for name in STAGES if self.history.get(name) != Past(keys[name], done=True)]
        for name in STAGES:
            if name not in waiting:
                self.on.say(f"{name}: done before with the same code, data and options")
        if waiting:
            self._push_code()
        for name in waiting:
            self._run(name, keys[name])
        self._report()

    def stage(self, name: str) -> None:
        """Do one stage. Raises `InputError` where another has to come before it."""
        given = ("train",) if self.options.bundle else ()  # what a bundle of one's own makes dispensable
        for needed in (needed for needed in NEEDS[name] if needed not in given):
            if not self._is_done(needed):
                raise InputError(f"`rsna rehearse {name}` needs `rsna rehearse {needed}` before it")
        self._push_code()
        self._run(name, self._keys()[name])
        if name == "submit":
            self._report()

    def newest(self, kind: str) -> Path:
        """The output of a kernel's newest run, as our command has fetched it."""
        folder = self.on.folder / KERNELS / self.on.settings.kernel_slug(kind)
        versions = sorted(folder.glob("v*"), key=lambda path: int(path.name[1:]))
        if not versions:
            raise InputError(f"{folder} holds no run; `rsna rehearse {kind}` makes one")
        return versions[-1]

    def _keys(self) -> dict[str, str]:
        """What each stage depends on, as one hash."""
        plan, options = self.on.plan, self.options
        code = take_snapshot(self.on.folder, plan.dirty).content_hash
        about = {"code": code, "profile": plan.profile, "settings": repr(plan.settings)}
        data = {"data": _state_of(plan.data), "prepare": options.prepare}
        train = {"train": options.train, "folds": options.folds}
        inputs: dict[str, Any] = {"library": about, "prepare": about | data, "train": about | data | train}
        inputs["submit"] = inputs["train"] | {"bundle": str(options.bundle or "")}
        return {name: digest(value) for name, value in inputs.items()}

    def _is_done(self, name: str) -> bool:
        return name in self.history and self.history[name].done

    def _remember(self, name: str, past: Past) -> None:
        self.history[name] = past
        write_json(self.on.folder / HISTORY, {stage: asdict(past) for stage, past in self.history.items()})

    def _run(self, name: str, key: str) -> None:
        going_on = self.history.get(name) == Past(key, done=False) and self._is_active(name)
        self._remember(name, Past(key, done=False))
        stages: dict[str, Callable[[bool], None]] = {
            "library": self._library,
            "prepare": self._prepare,
            "train": self._train,
            "submit": self._submit,
        }
        stages[name](going_on)
        self._remember(name, Past(key, done=True))

    def _is_active(self, kind: str) -> bool:
        """Whether a run of a kernel goes on that nobody follows, since an earlier rehearsal was interrupted."""
        query = """SELECT status FROM sessions JOIN kernels ON kernels.id = kernel
                   WHERE owner = ? AND slug = ? AND submission IS NULL ORDER BY sessions.id DESC LIMIT 1"""
        row = self.on.store.row(query, self.on.settings.user, self.on.settings.kernel_slug(kind))
        return row is not None and row["status"] in ACTIVE

    def _push_code(self) -> None:
        self.on.rsna("kaggle", "push-code", *(["--dirty"] if self.on.plan.dirty else []))

    def _kernel(self, kind: str, going_on: bool, *options: str) -> None:
        self.on.rsna("kaggle", *(("follow", kind) if going_on else ("run", kind, *options)))

    def _library(self, going_on: bool) -> None:
        self._kernel("library", going_on)

    def _prepare(self, going_on: bool) -> None:
        self._kernel("prepare", going_on, *_set(self.options.prepare))
        self.on.rsna("kaggle", "publish", "prepare")

    def _train(self, going_on: bool) -> None:
        self._kernel("train", going_on, "--folds", str(self.options.folds), *_set(self.options.train))
        source = [] if self.on.settings.bucket else ["--from", str(self.newest("train"))]
        self.on.rsna("runs", "pull", *source)

    def _submit(self, _: bool) -> None:  # a submission is made of a run of its own
        bundle = str(self.options.bundle.resolve() if self.options.bundle else self._collect())
        before = self._sessions()
        try:
            self.on.rsna("submit", "--bundle", bundle, "--message", "rehearsal")
        except StepError:
            if self._sessions() != before:  # it was run and has failed: say what is known, then end as it ended
                self._report()
            raise

    def _collect(self) -> Path:
        """The bundle of the newest rehearsed training."""
        trained, prepared = self.newest("train"), self.newest("prepare") / "prepared"
        runs = sorted((trained / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
        places = ["--data", str(self.on.plan.data), "--prepared", str(prepared), "--folds", str(trained / "folds.csv")]
        self.on.rsna("collect", str(runs[-1]), "--out", str(BUNDLE), *places, "--overwrite")
        self.on.rsna("kaggle", "push-model", str(BUNDLE))
        return BUNDLE

    def _sessions(self) -> list[Session]:
        return submit_sessions(self.on.store, self.on.settings.user, self.on.settings.kernel_slug("submit"))

    def _report(self) -> None:
        """Say what the newest rehearsed submission has shown."""
        plan, folder, sessions = self.on.plan, self.on.folder, self._sessions()
        wheels, factor = self.newest("library"), self.options.vcpu_factor
        self.on.say("")
        for name, text in submit_report(self.on.store, sessions, plan.data, wheels, plan.profile, factor):
            self.on.say(f"{name:14} {text}")
        self.on.say("")
        if keep_scored(sessions, folder / SUBMISSION):
            self.on.say(f"submission: {folder / SUBMISSION}")
        self.on.say(f"logbook:    {folder / 'LOG.md'}")
        self.on.say(f"the runs:   (cd {shlex.quote(str(folder))} && {MLFLOW} ui)  then open {PAGE}")


def _set(overrides: tuple[str, ...]) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


def _state_of(data: Path) -> dict[str, int]:
    """What tells whether a competition's tables have changed: their sizes and times."""
    tables = sorted((*data.glob("*.csv"), *data.glob("hidden/*.csv")))
    return {str(path.relative_to(data)): path.stat().st_mtime_ns + path.stat().st_size for path in tables}
