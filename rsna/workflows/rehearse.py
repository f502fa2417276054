"""A rehearsal: our own commands, run as a person would run them, in an environment that leads to the local Kaggle only.

Everything lies in one folder, with a checkout, settings, outputs, runs and a logbook of its own, so that nothing of a
rehearsal can be taken for the real thing, or reach it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rsna.competitions import create_competition
from rsna.config import dump
from rsna.errors import RsnaError
from rsna.io import ensure_dir, write_json
from rsna.kaggle.settings import SETTINGS_FILE, Settings, write_settings
from rsna.kaggle.snapshot import uncommitted
from rsna.local_kaggle.client_env import client_environment
from rsna.local_kaggle.competitions import add_competition
from rsna.local_kaggle.connection import Connection, find_server
from rsna.local_kaggle.control import launch, stop
from rsna.local_kaggle.image import open_image
from rsna.local_kaggle.probe import why_no_sandbox
from rsna.local_kaggle.profile import load_profile
from rsna.local_kaggle.settings import Settings as KaggleSettings
from rsna.local_kaggle.store import Store
from rsna.workflows.hidden import with_hidden_test
from rsna.workflows.loop_storage import BUCKET, has_emulator, storage_emulator
from rsna.workflows.rehearse_checkout import mirror_checkout

STATE = Path(".rsna/local-kaggle")  # where `rsna local-kaggle` looks, too
STORAGE = Path(".rsna/storage")
COMPETITION = Path(".rsna/competition")  # with a hidden test, where the real one has none
RSNA = (sys.executable, "-P", "-m", "rsna.cli.app")  # this very installation, whatever the current folder holds
LOOPBACK = "127.0.0.1"
KAGGLE = KaggleSettings(processing_seconds=1.0, submissions_per_day=1000)  # a rehearsal is for doing it again


class StepError(RsnaError):
    """One of our commands failed in a rehearsal; its exit status is ours."""

    def __init__(self, command: str, status: int) -> None:
        super().__init__(f"`{command}` ended with exit status {status}")
        self.exit_status = status if status > 0 else 1


@dataclass(frozen=True)
class Plan:
    """What to rehearse, and where.

    Attributes:
        root: The checkout whose code is pushed.
        folder: The rehearsal's own.
        settings: Of the real thing; the bucket is replaced by one in an emulator.
        data: The competition's folder.
        hidden_patients: How many training patients become the hidden test where `data` has none.
        dirty: Push the working tree as it is, instead of the last commit.
        unsafe: Go on without a sandbox where this machine can make none.
        profile: What Kaggle's image has.
    """

    root: Path
    folder: Path
    settings: Settings
    data: Path
    hidden_patients: int = 20
    dirty: bool = False
    unsafe: bool = False
    profile: str = "local"


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal that is on.

    Attributes:
        plan: What was asked for; its folder and data are absolute.
        connection: To the local Kaggle.
        environment: The whole environment of our commands.
        say: Takes what is to be told, line by line.
    """

    plan: Plan
    connection: Connection
    environment: Mapping[str, str]
    say: Callable[[str], object]

    @property
    def folder(self) -> Path:
        """The rehearsal's own."""
        return self.plan.folder

    @property
    def settings(self) -> Settings:
        """Of this rehearsal."""
        return self.plan.settings

    @property
    def store(self) -> Store:
        """What the local Kaggle knows."""
        return Store(self.folder / STATE)

    def rsna(self, *arguments: str) -> None:
        """Run one of our commands, its output going where ours goes. Raises `StepError` where it fails."""
        line = " ".join(("rsna", *arguments))
        self.say(f"\n$ {line}")
        status = subprocess.call((*RSNA, *arguments), cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL)
        if status:
            raise StepError(line, status)


@contextlib.contextmanager
def rehearsal(plan: Plan, say: Callable[[str], object]) -> Iterator[Rehearsal]:
    """Make the folder, start what is not running, register the competition; afterwards stop what was started.

    Raises:
        InputError: For data that are no competition, or too few to hide a part of, and a checkout without a commit.
        RsnaError: Where there is no sandbox here and none was declared dispensable, or something does not start.
    """
    mirror_checkout(plan.root, plan.folder, plan.dirty)
    if not plan.dirty and uncommitted(plan.root):
        say("uncommitted changes are left out: the last commit is rehearsed (--dirty takes the working tree)")
    bucket = (plan.settings.bucket or BUCKET) if has_emulator() else ""
    competition, hidden = create_competition(plan.settings.name), plan.folder / COMPETITION
    plan = replace(
        plan,
        folder=plan.folder.resolve(),
        data=with_hidden_test(competition, plan.data, plan.hidden_patients, hidden).resolve(),
        settings=replace(plan.settings, bucket=bucket),
    )
    write_settings(plan.settings, plan.folder / SETTINGS_FILE)
    state = ensure_dir(plan.folder / STATE)
    add_competition(Store(state), plan.settings.competition, plan.data, plan.settings.name)
    with contextlib.ExitStack() as stack:
        user = plan.settings.user
        connection = stack.enter_context(local_kaggle(state, user, plan.profile, plan.unsafe, say))
        environment = client_environment(connection, state, os.environ) | {"PYTHONUNBUFFERED": "1"}
        if bucket:
            address = stack.enter_context(storage_emulator(plan.folder / STORAGE, bucket))
            # the proxy, the local Kaggle, leads to itself alone; the client calls it `localhost`, so that it stays one
            environment |= {"STORAGE_EMULATOR_HOST": address, "no_proxy": LOOPBACK, "NO_PROXY": LOOPBACK}
        else:
            say("without a bucket for the runs: `pip install -e .[kaggle,gcs]` brings an emulator of one")
        yield Rehearsal(plan, connection, environment, say)


@contextlib.contextmanager
def local_kaggle(
    state: Path, user: str, profile: str, unsafe: bool, say: Callable[[str], object]
) -> Iterator[Connection]:
    """The server of a state folder: the running one, or one of our own, which is stopped in the end.

    Raises:
        RsnaError: Where there is no sandbox here and it is not declared dispensable (`unsafe`).
    """
    connection = find_server(state)
    if connection is not None:
        say(f"using the local Kaggle that runs on {connection.url}")
        _tell_unsafe(connection.sandboxed, "", say)
        yield connection
        return
    if not (state / "settings.json").exists():
        write_json(state / "settings.json", dump(KAGGLE))
    reason = why_no_sandbox(open_image(load_profile(profile)))
    if reason and not unsafe:
        raise RsnaError(f"no sandbox for notebooks: {reason}; --unsafe goes on without one, and proves less")
    options = ["--state", str(state), "--port", "0", "--user", user, "--profile", profile]
    options += ["--unsafe"] if reason else []
    connection = launch([*RSNA, "local-kaggle", "up", "--foreground", *options], state)
    _tell_unsafe(connection.sandboxed, reason, say)
    try:
        yield connection
    finally:
        stop(state)


def _tell_unsafe(sandboxed: bool, reason: str, say: Callable[[str], object]) -> None:
    if not sandboxed:
        because = f" ({reason})" if reason else ""
        say(f"NO SANDBOX{because}: notebooks run as plain processes with this machine's packages and network.")
        say("Nothing that follows proves that the submission runs offline on Kaggle.")
