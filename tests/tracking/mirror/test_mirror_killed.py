"""Pushes and pulls that are killed with SIGKILL: no half file is ever seen, and the next one ends the work."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mirror_helpers import Kernel

from rsna.tracking.mirror import push_runs
from rsna.tracking.pull import PULLED, pull_runs
from rsna.tracking.storage import BucketFolder

pytestmark = pytest.mark.slow


@pytest.fixture
def store(kernel: Kernel) -> Path:
    """Runs with some hundred files, some of them large enough to be caught halfway."""
    for fold in range(12):
        artifacts = kernel.folder(kernel.run(f"fold_{fold}")) / "artifacts"
        for number in range(8):
            (artifacts / f"{number}.bin").write_bytes(bytes([number]) * 2_000_000)
    return kernel.store


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kill_when(condition: Callable[[], bool], *arguments: str) -> None:
    """Run `rsna runs …` in the current folder and kill it in the middle."""
    process = subprocess.Popen([sys.executable, "-m", "rsna.cli.app", "runs", *arguments])
    end = time.monotonic() + 120
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -9, "it ended before it could be killed"


def test_a_killed_pull(store: Path, target: BucketFolder, root: Path) -> None:
    push_runs(store, target)
    whole = contents(store)
    pulled = root / PULLED / "gs" / target.bucket / target.prefix
    prefix = target.prefix.removesuffix("/mlruns")
    for share in (0.1, 0.4, 0.7):
        kill_when(
            lambda share=share: sum(1 for path in pulled.rglob("*") if path.is_file()) > share * len(whole),
            *("pull", "--bucket", target.bucket, "--prefix", prefix),
        )
        assert contents(pulled).items() < whole.items()
    report = pull_runs(target)
    assert contents(pulled) == whole
    assert set(report.runs.values()) == {"added"}
    assert 0 < len(report.taken) < 0.35 * len(whole)


def test_a_killed_push(store: Path, bucket: Any, target: BucketFolder, root: Path) -> None:
    whole = contents(store)
    prefix = target.prefix.removesuffix("/mlruns")
    for share in (0.1, 0.4):
        kill_when(
            lambda share=share: len(target.list()) > share * len(whole),
            *("push", str(store), "--bucket", target.bucket, "--prefix", prefix),
        )
    sent = push_runs(store, target).sent
    assert {
        name.removeprefix(f"{target.prefix}/"): bucket.blob(name).download_as_bytes() for name in names(bucket)
    } == whole
    assert 0 < len(sent) < 0.65 * len(whole)


def names(bucket: Any) -> list[str]:
    return [blob.name for blob in bucket.list_blobs()]
