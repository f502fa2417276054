"""The notebooks themselves, run: code, library, prepare in shards, their data set, training, and training resumed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from checkout import COMPETITION, Checkout

from rsna.local_kaggle.competitions import add_competition
from rsna.tracking import read_identity

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


def test_from_the_competition_to_a_training_that_another_session_ends(prepared: Checkout) -> None:
    lab = prepared.lab
    names = lab.file_names("rsna-prepared")
    assert {"spec.json", "table.parquet"} <= set(names)
    assert sum(name.startswith("images/") for name in names) == len(names) - 2

    endless = options(*PICTURES, *TRAINING, "trainer.epochs=1000")
    said = prepared.rsna("kaggle", "run", "train", "--folds", "2", "--timeout", "60", *endless)
    assert "INCOMPLETE" in said
    first = prepared.output("rsna-train", 1) / "runs/smoke/tiny/fold_0"
    assert "no time is left" in (first / "incomplete.json").read_text()

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

    # the unmodified client: code, prepared set and competition are found; the default config wants larger pictures
    pushed = lab.kaggle("kernels", "push", "-p", prepared.root / "kaggle_kernels/train")
    assert "could not be added" not in pushed
    assert lab.wait_kernel("rsna-train")["status"] == "ERROR"
    assert "was prepared with other settings" in lab.log("rsna-train")
