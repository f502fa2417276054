"""The whole loop by `rsna rehearse all`: unmodified client, local Kaggle, sandbox, emulated bucket."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from rsna.competitions import create_competition
from rsna.inference import Bundle
from rsna.kaggle.settings import SETTINGS_FILE, Settings, write_settings
from rsna.local_kaggle.connection import find_server
from rsna.local_kaggle.image import open_image
from rsna.local_kaggle.probe import why_no_sandbox
from rsna.local_kaggle.profile import load_profile
from rsna.local_kaggle.store import Store
from rsna.synthetic import BreastOptions, make_breast
from rsna.workflows.rehearse import COMPETITION, STATE
from rsna.workflows.rehearse_checkout import mirror_checkout

pytestmark = pytest.mark.loop

ROOT = Path(__file__).resolve().parents[2]
PREPARE = ("data=breast_256", "data.imaging.height=96", "data.imaging.width=64")
SIZE = (*PREPARE, "data.input.height=64", "data.input.width=32")
TRAIN = ("experiment=breast/demo", *SIZE, "fold=all", "trainer.epochs=1", "scheduler.warmup=0")
HIDDEN = ("--hidden-patients", "4")
SECONDS = 900


@dataclass
class Walked:
    """A rehearsal's folder, and what the command said."""

    folder: Path
    output: str


def rehearse(base: Path, stage: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Type `rsna rehearse …` in the checkout."""
    overrides = [word for text in PREPARE for word in ("--prepare", text)]
    overrides += [word for text in TRAIN for word in ("--train", text)]
    places = ["--data", f"{base}/data", "--folder", f"{base}/rehearsal", "--settings", f"{base}/{SETTINGS_FILE}"]
    command = [sys.executable, "-m", "rsna.cli.app", "rehearse", stage, "--folds", "2", *HIDDEN, *places, *overrides]
    return subprocess.run(
        [*command, *options],
        cwd=base / "checkout",
        env={**os.environ, "PYTHONPATH": str(base / "checkout")},  # one state of the code from end to end
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny competition as it is downloaded, settings, and a checkout with the code as it is here."""
    if reason := why_no_sandbox(open_image(load_profile())):
        pytest.skip(f"no sandbox here: {reason}")
    base = tmp_path_factory.mktemp("loop")
    mirror_checkout(ROOT, base / "checkout", dirty=True)
    for words in (["add", "-A"], ["commit", "-qm", "as it is"]):
        git = ["git", "-C", str(base / "checkout"), "-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run([*git, *words], check=True)
    make_breast(base / "data", BreastOptions(14, 1, scale=0.03, seed=1, positive_rate=0.4))
    shutil.rmtree(base / "data" / "hidden")
    write_settings(Settings("alice", "rsna-breast", bucket="runs-of-alice"), base / SETTINGS_FILE)
    yield base
    assert find_server(base / "rehearsal" / STATE) is None


@pytest.fixture(scope="module")
def walked(base: Path) -> Walked:
    """All stages, walked through once."""
    done = rehearse(base, "all")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return Walked(base / "rehearsal", done.stdout)


def test_the_submission_is_scored_and_proven_offline(walked: Walked) -> None:
    store = Store(walked.folder / STATE)
    submission = store.row("SELECT * FROM submissions")
    assert submission["status"] == "COMPLETE", submission["detail"]
    sessions = store.rows("SELECT report FROM sessions WHERE submission IS NOT NULL")
    assert [json.loads(session["report"])["proven_offline"] for session in sessions] == [True]
    assert "offline        yes" in walked.output
    assert "wheels         none missing" in walked.output
    assert "8,000 patients would be through after" in walked.output


def test_the_scored_file_is_at_hand(walked: Walked) -> None:
    competition = create_competition("breast")
    competition.check_submission(
        walked.folder / "submission.csv", walked.folder / COMPETITION / "hidden" / "sample_submission.csv"
    )
    assert f"submission: {walked.folder / 'submission.csv'}" in walked.output


def test_the_logbook_has_score_bundle_and_code(walked: Walked) -> None:
    log = (walked.folder / "LOG.md").read_text()
    digest = Bundle.open(walked.folder / "models" / "rehearsal").spec.digest
    for words in ("submission/1", "public", digest[:12], "kernel alice/rsna-submit v1"):
        assert words in log


def test_the_runs_came_by_the_bucket_and_have_the_score(walked: Walked) -> None:
    assert list((walked.folder / ".rsna" / "storage").rglob("*"))
    with sqlite3.connect(walked.folder / "mlflow.db") as database:
        names = {row[0] for row in database.execute("SELECT name FROM runs WHERE status = 'FINISHED'")}
        scored = {row[0] for row in database.execute("SELECT key FROM metrics")}
        runs = [row[0] for row in database.execute("SELECT run_uuid FROM runs")]
    assert names == {"demo/fold_0", "demo/fold_1"}
    client = MlflowClient(f"sqlite:///{walked.folder}/mlflow.db")
    for run in runs:
        plots = client.list_artifacts(run, "plots")
        assert Path(client.download_artifacts(run, plots[0].path)).stat().st_size > 0
    assert "kaggle/public" in scored


def test_done_again_it_leaves_everything_out(walked: Walked, base: Path) -> None:
    done = rehearse(base, "all")
    assert done.returncode == 0, done.stderr
    assert "$ rsna" not in done.stdout
    assert done.stdout.count("done before with the same code, data and options") == 4
    assert "offline        yes" in done.stdout


def test_its_exit_status_is_that_of_the_command(walked: Walked, base: Path) -> None:
    done = rehearse(base, "prepare", "--prepare", "data.imaging.height=0")
    assert done.returncode == 2
    assert "data.imaging.height=0` ended with exit status 2" in done.stderr
