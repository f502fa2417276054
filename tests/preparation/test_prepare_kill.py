"""`rsna prepare`, killed without warning and run again, ends as if nothing had happened."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from preparing import configure, overrides, tree

from rsna.preparation.prepare import prepare


def run_and_kill(command: list[str], prepared: Path, pictures: int, delay: float) -> None:
    """Start `rsna prepare` and kill it a moment after it has made some more pictures."""
    wanted = len(list(prepared.rglob("[!.]*.png"))) + pictures
    log = prepared.with_name("log")
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    while process.poll() is None and len(list(prepared.rglob("[!.]*.png"))) < wanted:
        time.sleep(0.002)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    assert process.wait() in (0, -signal.SIGKILL), log.read_text()


@pytest.mark.parametrize(
    "kills",
    [
        [(3, 0.0)],
        pytest.param(
            [(0, 0.0), (0, 1.0), (0, 1.7), (1, 0.003), (2, 0.011), (1, 0.02), (4, 0.005), (100, 0.0)],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_killed_and_run_again(competition: Path, whole: Path, tmp_path: Path, kills: list[tuple[int, float]]) -> None:
    config = configure(competition, tmp_path / "out")
    command = [sys.executable, "-m", "rsna.cli.app", "prepare", *overrides(config)]
    for pictures, delay in kills:
        run_and_kill(command, tmp_path / "out", pictures, delay)
        assert not [name for name, content in tree(tmp_path / "out").items() if not content and ".part-" not in name]
    report = prepare(config)
    assert tree(tmp_path / "out") == tree(whole)
    assert report.failed.empty
