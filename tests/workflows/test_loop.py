"""What the loop runs, in which order, and what it leaves out; the commands themselves are not run here."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from rsna.errors import InputError
from rsna.kaggle.run import KERNELS
from rsna.kaggle.settings import Settings
from rsna.local_kaggle.connection import Connection
from rsna.workflows.loop import HISTORY, Loop, Options
from rsna.workflows.rehearse import Plan, Rehearsal, StepError

PUSH = "kaggle push-code"
LIBRARY = ["kaggle run library"]
PREPARE = ["kaggle run prepare --set data=tiny", "kaggle publish prepare"]
TRAIN = ["kaggle run train --folds 2 --set fold=all", "runs pull"]
SUBMIT = ["collect", "kaggle push-model", "submit"]
OPTIONS = Options(prepare=("data=tiny",), train=("fold=all",), folds=2)


@dataclass(frozen=True)
class Listener(Rehearsal):
    """A rehearsal that notes the commands; one that begins with `failing` fails."""

    ran: list[str] = field(default_factory=list)
    failing: str = "nothing"

    def rsna(self, *arguments: str) -> None:
        line = " ".join(arguments)
        self.ran.append(line)
        if line.startswith(self.failing):
            raise StepError(line, 3)


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listener:
    """A rehearsal whose kernels have left outputs."""
    folder, data = tmp_path / "rehearsal", tmp_path / "data"
    (folder / "rsna").mkdir(parents=True)
    (folder / "rsna" / "code.py").write_text("1")
    commit(folder)
    (data / "hidden").mkdir(parents=True)
    (data / "train.csv").write_text("a\n")
    for kind, files in {"train": "runs/demo", "prepare": "prepared", "library": "wheels"}.items():
        (folder / KERNELS / f"rsna-{kind}" / "v1" / files).mkdir(parents=True)
    monkeypatch.setattr(Loop, "_report", lambda self: None)
    plan = Plan(tmp_path, folder, Settings("alice", "rsna-breast", bucket="runs"), data)
    return Listener(plan, Connection(1, "token", "alice", 1, True), {}, lambda line: None)


def commit(folder: Path) -> None:
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "rsna"], check=True)
    subprocess.run([*git, "commit", "-qm", "code"], check=True)


def commands(on: Listener) -> list[str]:
    """What was run, the places of `collect` and the like left out."""
    short = [next((word for word in SUBMIT if line.startswith(word)), line) for line in on.ran]
    on.ran.clear()
    return short


def walk(on: Rehearsal, options: Options = OPTIONS) -> None:
    Loop(on, options).walk()


def test_all_stages_in_their_order_and_then_none(on: Listener) -> None:
    walk(on)
    assert commands(on) == [PUSH, *LIBRARY, *PREPARE, *TRAIN, *SUBMIT]
    walk(on)
    assert commands(on) == []


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ("train", [*TRAIN, *SUBMIT]),
        ("folds", [*TRAIN, *SUBMIT]),
        ("prepare", [*PREPARE, *TRAIN, *SUBMIT]),
        ("data", [*PREPARE, *TRAIN, *SUBMIT]),
        ("code", [*LIBRARY, *PREPARE, *TRAIN, *SUBMIT]),
        ("bundle", ["submit"]),
    ],
)
def test_what_depends_on_a_change_is_done_again(on: Listener, change: str, again: list[str]) -> None:
    walk(on)
    on.ran.clear()
    changes = {"train": ("fold=0",), "folds": 3, "prepare": ("data=huge",), "bundle": Path("models/other")}
    options = replace(OPTIONS, **{change: changes[change]} if change in changes else {})  # type: ignore[arg-type]
    if change == "data":
        (on.plan.data / "train.csv").write_text("a\nb\n")
    if change == "code":
        (on.folder / "rsna" / "code.py").write_text("2")
        commit(on.folder)
    walk(on, options)
    words = [" ".join(line.split()[:3]) for line in commands(on)]
    assert words == [PUSH, *(" ".join(line.split()[:3]) for line in again)]


def test_a_failure_ends_it_and_the_next_walk_begins_there(on: Listener) -> None:
    failing = replace(on, failing="kaggle publish")
    with pytest.raises(StepError) as raised:
        walk(failing)
    assert raised.value.exit_status == 3
    assert commands(failing) == [PUSH, *LIBRARY, *PREPARE]
    walk(on)
    assert commands(on) == [PUSH, *PREPARE, *TRAIN, *SUBMIT]


@pytest.mark.parametrize(
    ("status", "options", "first"),
    [
        ("RUNNING", OPTIONS, "kaggle follow train"),
        ("QUEUED", OPTIONS, "kaggle follow train"),
        ("COMPLETE", OPTIONS, TRAIN[0]),
        ("RUNNING", replace(OPTIONS, train=("fold=0",)), "kaggle run train --folds 2 --set fold=0"),
    ],
)
def test_what_still_runs_is_followed(on: Listener, status: str, options: Options, first: str) -> None:
    with pytest.raises(StepError):
        walk(replace(on, failing="kaggle run train"))
    on.store.write("INSERT INTO kernels VALUES (1, 'alice', 'rsna-train', 'rsna-train', 'python', 'notebook', 0)")
    statement = "INSERT INTO sessions (kernel, number, request, status, created) VALUES (1, 1, '{}', ?, ?)"
    on.store.write(statement, status, time.time())
    on.ran.clear()
    walk(on, options)
    assert commands(on)[1] == first


def test_a_single_stage_is_always_done(on: Listener) -> None:
    for _ in range(2):
        Loop(on, OPTIONS).stage("library")
        assert commands(on) == [PUSH, *LIBRARY]


def test_a_stage_says_what_comes_before_it(on: Listener) -> None:
    with pytest.raises(InputError, match="`rsna rehearse train` needs `rsna rehearse prepare` before it"):
        Loop(on, OPTIONS).stage("train")
    Loop(on, OPTIONS).stage("library")
    with pytest.raises(InputError, match="needs `rsna rehearse train`"):
        Loop(on, OPTIONS).stage("submit")
    on.ran.clear()
    Loop(on, replace(OPTIONS, bundle=Path("models/mine"))).stage("submit")
    assert commands(on) == [PUSH, "submit"]


def test_without_a_bucket_runs_come_from_the_output(on: Listener) -> None:
    plan = replace(on.plan, settings=replace(on.settings, bucket=""))
    walk(replace(on, plan=plan))
    assert f"runs pull --from {on.folder / KERNELS / 'rsna-train' / 'v1'}" in on.ran


def test_what_is_remembered_goes_with_the_state(on: Listener) -> None:
    walk(on)
    (on.folder / HISTORY).unlink()
    on.ran.clear()
    walk(on)
    assert commands(on) == [PUSH, *LIBRARY, *PREPARE, *TRAIN, *SUBMIT]
