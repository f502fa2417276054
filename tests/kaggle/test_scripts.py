"""The scripts that a person types, run themselves against the local Kaggle and an emulated bucket."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import COMPETITION, ROOT, Checkout
from kaggle_lab import Lab
from tiny_model import make_bundle, make_competition

from rsna.kaggle.settings import SETTINGS_FILE, Settings, write_settings
from rsna.local_kaggle.competitions import add_competition
from rsna.workflows.loop_storage import storage_emulator

pytestmark = pytest.mark.loop

QUICK = """
import shutil
from rsna.kernel.bootstrap import find_mounts
shutil.copy(find_mounts("sample_submission.csv")[0] / "sample_submission.csv", WORKING / "submission.csv")
"""
RUN = """
import mlflow
mlflow.set_tracking_uri('file:mlruns')
with mlflow.start_run(run_name='fold_0'):
    mlflow.log_metric('val/loss', 0.25)
"""


@pytest.fixture
def typed(checkout: Checkout) -> Checkout:
    """The checkout with its scripts, and an environment that they find already installed."""
    shutil.copytree(ROOT / "scripts", checkout.root / "scripts")
    (checkout.root / ".venv").mkdir()
    (checkout.root / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    state = f"{hashlib.sha256((checkout.root / 'setup.py').read_bytes()).hexdigest()} {checkout.root}\n"
    for extras in ("kaggle", "gcs"):
        (checkout.root / ".venv" / f".installed-{extras}").write_text(state)
    return checkout


def script(checkout: Checkout, name: str, *arguments: str, status: int = 0) -> str:
    """Run a script from somewhere else than its checkout, as it may be typed."""
    command = ["bash", str(checkout.root / "scripts" / name), *arguments]
    done = subprocess.run(
        command, cwd="/", env=checkout.environment, capture_output=True, text=True, timeout=300, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == status, said
    assert "installing" not in said
    return said


def test_push_code(typed: Checkout) -> None:
    assert "alice/rsna-code version" in script(typed, "push_code.sh")
    assert "nothing pushed" in script(typed, "push_code.sh")
    (typed.root / "conf" / "extra.yaml").write_text("a: 1\n")
    assert "with changes" in script(typed, "push_code.sh", "--dirty")
    script(typed, "push_code.sh", "--durty", status=2)


def test_a_model_goes_and_is_submitted(typed: Checkout, lab: Lab, tmp_path: Path) -> None:
    data = make_competition(tmp_path / "data")
    add_competition(lab.store, COMPETITION, data, "breast")
    make_bundle(typed.root / "models" / "one", data)
    (typed.root / "offline_wheels" / "lock.json").write_text('{"wheels": []}\n')
    typed.write_cells("submit", QUICK)
    typed.rsna("wheels", "push")
    assert "alice/rsna-model version" in script(typed, "push_model.sh", "models/one")
    assert "not a model bundle" in script(typed, "push_model.sh", "conf", status=2)
    script(typed, "push_code.sh")
    assert "public" in script(typed, "submit.sh", "--bundle", "models/one", "-m", "typed")
    assert "typed" in (typed.root / "LOG.md").read_text()
    row = lab.store.row("SELECT status, description FROM submissions ORDER BY id DESC")
    assert row is not None
    assert tuple(row) == ("COMPLETE", "typed")


def test_runs_come_from_the_bucket(typed: Checkout, tmp_path: Path) -> None:
    write_settings(Settings("alice", COMPETITION, bucket="runs-of-alice"), typed.root / SETTINGS_FILE)
    with storage_emulator(tmp_path / "storage", "runs-of-alice") as typed.storage:
        kernel = {**typed.environment, "MLFLOW_ALLOW_FILE_STORE": "true"}
        subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, env=kernel, check=True)
        typed.rsna("runs", "push", tmp_path / "mlruns")
        assert "runs: 1 added" in script(typed, "pull_mlruns.sh")
        assert "0 files taken" in script(typed, "pull_mlruns.sh")
