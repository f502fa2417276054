"""What kernels have left: fetched again where it is not what is there, and their runs brought into `mlflow.db`."""

from __future__ import annotations

import os
import sqlite3

import pytest
from checkout import Checkout
from kaggle_lab import Lab

FILES = """
open('small.yaml', 'w').write('a: 1')
open('large.bin', 'wb').write(bytes(2 * 2**20))
"""
RUN = """
import mlflow, os
os.environ['MLFLOW_ALLOW_FILE_STORE'] = 'true'
mlflow.set_tracking_uri('file:mlruns')
with mlflow.start_run(run_name='fold_0'):
    mlflow.log_metric('val/loss', 0.25)
open('weights.bin', 'w').write('not a part of the run')
"""


def test_a_file_of_the_same_size_is_not_taken_for_the_same(checkout: Checkout, lab: Lab) -> None:
    lab.run("left-files", FILES)
    checkout.rsna("kaggle", "follow", "left-files")
    folder = checkout.output("left-files", 1)
    small, large = folder / "small.yaml", folder / "large.bin"
    kept, date = large.stat().st_ino, large.stat().st_mtime_ns

    small.write_text("a: 2")  # of the same size, and with any date
    os.utime(small, ns=(date, date))
    checkout.rsna("kaggle", "follow", "left-files")
    assert small.read_text() == "a: 1"
    assert large.stat().st_ino == kept  # of its size and date: not fetched again

    large.write_bytes(b"x" * large.stat().st_size)
    checkout.rsna("kaggle", "follow", "left-files")
    assert large.read_bytes() == bytes(2 * 2**20)


@pytest.mark.loop
def test_runs_come_from_the_newest_output_by_the_kernel_s_name(checkout: Checkout, lab: Lab) -> None:
    assert "no run that ended well" in checkout.rsna("runs", "pull", "--kernel", "other-kernel", status=2)
    lab.run("rsna-train", RUN)
    lab.run("rsna-train", "raise ValueError('and nothing left')")
    assert "runs: 1 added" in checkout.rsna("runs", "pull", "--kernel", "train")
    folder = checkout.output("rsna-train", 1)
    assert (folder / "mlruns").is_dir()
    assert not (folder / "weights.bin").exists()
    with sqlite3.connect(checkout.root / "mlflow.db") as database:
        assert database.execute("SELECT name, status FROM runs").fetchall() == [("fold_0", "FINISHED")]
        assert database.execute("SELECT key, value FROM latest_metrics").fetchall() == [("val/loss", 0.25)]
    assert checkout.rsna("runs", "pull", "--kernel", "train").startswith("0 files taken")
    assert "holds no MLflow runs" in checkout.rsna("runs", "pull", "--kernel", "train", "--version", "2", status=2)
