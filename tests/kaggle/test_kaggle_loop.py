"""The notebooks themselves, run: code, library, prepare in shards, their data set, training, and training resumed.

Meanwhile the runs go to a bucket, and from there into `mlflow.db`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import COMPETITION, Checkout
from kaggle_lab import wait_for
from mlflow import MlflowClient

from rsna.kaggle.settings import SETTINGS_FILE, Settings, write_settings
from rsna.local_kaggle.competitions import add_competition
from rsna.tracking import read_identity
from rsna.workflows.loop_storage import storage_emulator

pytestmark = pytest.mark.loop

LIBRARY = "(WORKING / 'lock.json').write_text('{\"wheels\": []}')"  # the image of this test has every package
PICTURES = ("data=breast_256", "data.imaging.height=96", "data.imaging.width=64")
TRAINING = ("debug=smoke", "tracking=mlflow", "name=tiny", "limit=0", "data.input.height=64", "data.input.width=32")


def describe_head(checkout: Checkout) -> str:
    """The commit, as runs are labelled with it."""
    command = ["git", "-C", str(checkout.root), "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def options(*overrides: str) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


@pytest.fixture
def bucket(checkout: Checkout, tmp_path: Path) -> Iterator[Path]:
    """An emulated bucket of the checkout's, as the folder of its objects."""
    write_settings(Settings("alice", COMPETITION, bucket="runs-of-alice"), checkout.root / SETTINGS_FILE)
    with storage_emulator(tmp_path / "storage", "runs-of-alice") as checkout.storage:
        yield tmp_path / "storage"


@pytest.fixture
def prepared(checkout: Checkout, competition: Path) -> Checkout:
    """A checkout that has come as far as a prepared set on Kaggle, made in two shards."""
    add_competition(checkout.lab.store, COMPETITION, competition, "breast")
    checkout.write_cells("library", LIBRARY)
    checkout.rsna("kaggle", "push-code")
    checkout.rsna("kaggle", "run", "library")
    checkout.rsna("kaggle", "run", "prepare", "--shard", "1/2", *options(*PICTURES))
    assert "no run has made shard 2/2" in checkout.rsna("kaggle", "publish", "prepare", status=2)
    checkout.rsna("kaggle", "run", "prepare", "--shard", "2/2", "--no-fetch", *options(*PICTURES))
    assert "alice/rsna-prepared version 1 is ready" in checkout.rsna("kaggle", "publish", "prepare")
    return checkout


def test_from_the_competition_to_a_training_that_another_session_ends(prepared: Checkout, bucket: Path) -> None:
    lab = prepared.lab
    names = lab.file_names("rsna-prepared")
    assert {"spec.json", "table.parquet"} <= set(names)
    assert sum(name.startswith("images/") for name in names) == len(names) - 2

    endless = options(*PICTURES, *TRAINING, "trainer.epochs=1000")
    training = prepared.start("kaggle", "run", "train", "--folds", "2", "--timeout", "60", *endless)
    wait_for(lambda: bool(list(bucket.rglob("mlruns/*/*/metrics/val/loss"))), 120)
    newest = {"userName": "alice", "kernelSlug": "rsna-train"}
    assert lab.call("GetKernelSessionStatus", newest)["status"] == "RUNNING"  # and the run is on the bucket already
    said, _ = training.communicate(timeout=300)
    assert training.returncode == 0, said
    assert "INCOMPLETE" in said
    first = prepared.output("rsna-train", 1) / "runs/smoke/tiny/fold_0"
    assert "time" in json.loads((first / "incomplete.json").read_text())["reason"]  # between epochs or within one

    said = prepared.rsna("kaggle", "run", "train", "--resume", "--timeout", "60")
    folder = prepared.output("rsna-train", 2)
    epochs = [
        len((path / "history.csv").read_text().splitlines()) for path in (first, folder / "runs/smoke/tiny/fold_0")
    ]
    assert epochs[0] < epochs[1]
    run = read_identity(first)
    assert run == read_identity(folder / "runs/smoke/tiny/fold_0")
    assert run["commit"] == describe_head(prepared)
    assert list((folder / "mlruns").glob(f"*/{run['run_id']}/metrics/val/loss"))

    assert "runs: 1 added" in prepared.rsna("runs", "pull")
    client = MlflowClient(f"sqlite:///{prepared.root}/mlflow.db")
    losses = client.get_metric_history(str(run["run_id"]), "val/loss")
    assert len(losses) == epochs[1] - 1  # of both sessions, each once; the history has a header

    # the unmodified client: code, prepared set and competition are found; the default config wants larger pictures
    pushed = lab.kaggle("kernels", "push", "-p", prepared.root / "kaggle_kernels/train")
    assert "could not be added" not in pushed
    assert lab.wait_kernel("rsna-train")["status"] == "ERROR"
    assert "was prepared with other settings" in lab.log("rsna-train")
