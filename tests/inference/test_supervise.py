"""The parent that outlives its child: kills, faults, time limits, and what is there in the end."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.competitions import create_competition
from rsna.errors import InputError, RsnaError
from rsna.inference import Bundle, PredictOptions, output, predict_folder, predict_supervised, process, supervise
from rsna.inference.job import plan_job
from rsna.inference.journal import Batch
from rsna.inference.process import Process

Run = Callable[..., dict]
FILES = ("s.csv", "predictions.parquet")


@pytest.fixture
def run(bundle: Bundle, competition: Path, tmp_path: Path, options: PredictOptions) -> Run:
    """Predict the tiny competition into `out/`, three batches of four images, in a process of its own."""
    return lambda **changes: predict_supervised(
        **(
            {"bundle": bundle.folder, "data": competition, "out": tmp_path / "out/s.csv", "options": options}
            | {"probability": True}
            | changes
        )
    )


@pytest.fixture
def whole(bundle: Bundle, competition: Path, tmp_path: Path, options: PredictOptions) -> dict[str, bytes]:
    """The files of a run that nothing has disturbed."""
    predict_folder(bundle, competition, tmp_path / "whole/s.csv", probability=True, options=options)
    return contents(tmp_path / "whole")


@pytest.fixture
def rerun(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Kaggle's scoring rerun."""
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def check(competition: Path, folder: Path) -> pd.DataFrame:
    """That a submission fits the sample, and nothing else is left."""
    assert sorted(path.name for path in folder.iterdir()) == ["predict_report.json", "predictions.parquet", "s.csv"]
    return create_competition("breast").check_submission(folder / "s.csv", competition / "sample_submission.csv")


def test_a_child_that_is_killed_is_followed_by_one_that_goes_on(
    run: Run, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSNA_FAULTS", "child-kill@9")
    report = run()
    assert contents(tmp_path / "out") == whole
    (restart,) = report["restarts"]
    assert (restart["reason"], restart["next"]) == ("SIGKILL", "half the decoding processes")
    assert restart["batches"] >= 1
    assert (report["filled"], report["steps"]) == (0, [])


def test_a_wrong_bundle_or_option_is_the_users_error_at_once(
    run: Run, bundle: Bundle, tmp_path: Path, options: PredictOptions
) -> None:
    with pytest.raises(InputError, match="expected was 000000000000"):
        run(digest="0" * 64)
    with pytest.raises(InputError, match="must be more than 0 s"):
        run(options=replace(options, time_limit=0))
    weights = bundle.folder / "fold_1.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"fold_1\.safetensors has the checksum"):
        run()
    assert not (tmp_path / "out/s.csv").exists()


@pytest.mark.slow
def test_an_image_that_kills_every_process_is_found_and_skipped(
    bundle: Bundle, competition: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rerun: None
) -> None:
    monkeypatch.setenv("RSNA_FAULTS", "poison@6")
    options = PredictOptions(workers=1, batch_size=4, device="cpu")
    report = predict_supervised(bundle.folder, competition, tmp_path / "out/s.csv", options=options)
    (failed,) = report["failed"]
    assert failed["image_id"] == "106"
    assert failed["reason"] == "it ends the process that predicts (SIGKILL)"
    assert [restart["next"] for restart in report["restarts"]][-1] == "one image at a time"
    check(competition, tmp_path / "out")


@pytest.mark.slow
def test_a_process_that_never_starts_costs_a_rerun_the_predictions_and_a_visible_run_its_success(
    run: Run, competition: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSNA_FAULTS", "start-kill@99")
    monkeypatch.setattr(supervise, "MAX_STARTS", 2)
    with pytest.raises(RsnaError, match=r"did not start 2 times .SIGKILL. before 12 of 12 images") as caught:
        run()
    assert caught.value.exit_status == 1
    assert not (tmp_path / "out/s.csv").exists()
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")
    report = run()
    assert report["not_reached"] == report["filled"] == report["filled_from"]["prior"] == 12
    assert {failed["reason"] for failed in report["failed"]} == {
        "the process that predicts did not start 2 times (SIGKILL)"
    }
    assert check(competition, tmp_path / "out")["cancer"].between(0.019, 0.021).all()


@pytest.mark.slow
def test_a_process_that_does_nothing_any_more_is_replaced(
    run: Run,
    bundle: Bundle,
    competition: Path,
    options: PredictOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = replace(options, batch_size=2)
    predict_folder(bundle, competition, tmp_path / "whole/s.csv", probability=True, options=small)
    monkeypatch.setenv("RSNA_FAULTS", "child-hang@11")
    monkeypatch.setattr(process, "LEAST_SILENCE", 10.0)
    monkeypatch.setattr(process, "SILENCE_FACTOR", 0.0)  # however long a busy machine has taken to start
    (restart,) = run(options=small)["restarts"]
    assert "no sign of life" in restart["reason"]
    assert restart["batches"] >= 2
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_how_long_a_silence_may_be_follows_from_those_before(
    bundle: Bundle, competition: Path, tmp_path: Path, options: PredictOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(process.time, "monotonic", lambda: now[0])
    options = replace(options, batch_size=1)
    job = plan_job(bundle.folder, bundle.spec, competition, tmp_path / "s.csv", None, True, options)
    with job.journal() as journal:
        child = Process(job, journal, 0, 0)

        def work(number: int, seconds: float) -> float:
            """The patience after an image that took so long."""
            now[0] += seconds
            before = child._listen()
            journal.add_batch(number, Batch(("fold_0",), ("none",), np.zeros((1, 1, 1)), {}))
            journal.mark(number)
            os.utime(journal.running, (number + 1, number + 1))  # whatever the clock of files says
            assert child._listen() == 0
            assert before == seconds
            return child._patience()

        assert work(0, 200) == process.HANG_SECONDS  # starting
        child.longest = 0.0
        assert work(1, 3) == process.LEAST_SILENCE
        assert work(2, 50) == 500
        assert work(3, 1) == 500
        assert work(4, 400) == process.HANG_SECONDS


def test_a_bundle_that_cannot_be_loaded_costs_a_rerun_the_predictions(
    run: Run, bundle: Bundle, competition: Path, tmp_path: Path, rerun: None
) -> None:
    weights = bundle.folder / "fold_1.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    report = run()
    assert "fold_1.safetensors has the checksum" in report["problems"][0]
    assert report["filled_from"]["prior"] == report["not_reached"] == 12
    assert report["restarts"] == []  # the next process would have found the same
    check(competition, tmp_path / "out")


def test_a_disk_that_is_full_in_the_end_leaves_a_rerun_its_submission(
    run: Run, competition: Path, tmp_path: Path, options: PredictOptions, monkeypatch: pytest.MonkeyPatch, rerun: None
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output, "write_json", refuse)
    report = run(options=replace(options, time_limit=1.0))
    assert "No space left on device" in report["problems"][0]
    create_competition("breast").check_submission(tmp_path / "out/s.csv", competition / "sample_submission.csv")
    monkeypatch.delenv("KAGGLE_IS_COMPETITION_RERUN")
    with pytest.raises(OSError, match="No space left"):
        run(options=replace(options, time_limit=0.001))
    assert not (tmp_path / "out/s.csv").exists()


COMMAND = """
import sys
from rsna.cli.app import main
try:
    main(["predict", *sys.argv[1:]])
except SystemExit as end:
    assert not end.code, end.code
heavy = {"torch", "timm", "cv2", "pydicom", "safetensors"} & set(sys.modules)
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(sorted(heavy), int(peak) // 1024)
"""


def test_the_command_itself_stays_small(bundle: Bundle, competition: Path, tmp_path: Path) -> None:
    paths = ["--bundle", bundle.folder, "--data", competition, "--out", tmp_path / "s.csv", "--workers", 1]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    heavy, megabytes = done.stdout.splitlines()[-1].rsplit(" ", 1)
    assert heavy == "[]"
    assert int(megabytes) < 200


def test_five_seconds_give_a_rerun_a_submission_and_a_visible_run_a_failure(
    run: Run, competition: Path, tmp_path: Path, options: PredictOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSNA_FAULTS", "slow@3")
    short = replace(options, time_limit=5.0)
    start = time.monotonic()
    with pytest.raises(RsnaError, match=r"the time limit came before .* of 12 images were predicted") as caught:
        run(options=short)
    assert caught.value.exit_status == 1
    report = json.loads((tmp_path / "out/predict_report.json").read_text())
    assert report["not_reached"] > 0
    assert not (tmp_path / "out/s.csv").exists()
    assert time.monotonic() - start < 60  # it is the limit that ends it, with room for a busy machine


def test_the_limit_counts_from_the_start_of_the_kernel_and_a_rerun_is_filled_in(
    run: Run, competition: Path, tmp_path: Path, options: PredictOptions, rerun: None
) -> None:
    report = run(options=replace(options, time_limit=1.0))  # this process is older than that
    assert report["not_reached"] == 12
    assert {failed["reason"] for failed in report["failed"]} == {"not reached in the time limit"}
    rates = check(competition, tmp_path / "out").set_index("prediction_id")["cancer"]
    assert rates.between(0.019, 0.021).all()  # the mean of the priors of its views


PARENT = """
import sys
from pathlib import Path
from rsna.inference import PredictOptions, predict_supervised
bundle, data, out = map(Path, sys.argv[1:])
options = PredictOptions(workers=1, batch_size=4, device="cpu")
predict_supervised(bundle, data, out, probability=True, options=options)
assert "torch" not in sys.modules and "cv2" not in sys.modules
"""


@pytest.fixture
def start(bundle: Bundle, competition: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a parent in a process of its own."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(**environment: str) -> subprocess.Popen[bytes]:
        paths = [str(bundle.folder), str(competition), str(tmp_path / "out/s.csv")]
        begun.append(subprocess.Popen([sys.executable, "-c", PARENT, *paths], env=os.environ | environment))
        return begun[-1]

    yield begin
    for parent in begun:
        parent.kill()
        parent.wait()


def records(folder: Path) -> int:
    path = folder / ".s.csv.journal/records"
    return path.read_bytes().count(b'"kind": "batch"') if path.exists() else 0


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    try:
        own = [int(c) for path in Path(f"/proc/{pid}/task").glob("*/children") for c in path.read_text().split()]
    except OSError:
        return []
    return own + [below for child in own for below in children(child)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_parent_that_ends_takes_its_child_along_and_the_next_one_goes_on(
    start: Callable[..., subprocess.Popen[bytes]],
    run: Run,
    whole: dict[str, bytes],
    tmp_path: Path,
    sent: signal.Signals,
    caplog: pytest.LogCaptureFixture,
    competition: Path,
) -> None:
    parent = start(RSNA_FAULTS="slow@0.7")
    wait_for(lambda: records(tmp_path / "out") >= 1)
    create_competition("breast").check_submission(tmp_path / "out/s.csv", competition / "sample_submission.csv")
    below = children(parent.pid)
    assert len(below) >= 2
    parent.send_signal(sent)
    assert parent.wait(30) != 0
    wait_for(lambda: not any(map(alive, below)), 30)
    caplog.set_level(logging.INFO, "rsna")
    assert run()["filled"] == 0
    assert "going on from" in caplog.text
    assert contents(tmp_path / "out") == whole


@pytest.mark.slow
def test_children_and_workers_killed_at_random_change_no_byte(
    start: Callable[..., subprocess.Popen[bytes]], whole: dict[str, bytes], tmp_path: Path
) -> None:
    import random

    draw = random.Random(0)
    parent = start(RSNA_FAULTS="slow@0.5")
    for wanted in (1, 2):
        wait_for(lambda wanted=wanted: records(tmp_path / "out") >= wanted or parent.poll() is not None)
        for pid in draw.sample(children(parent.pid), k=1):
            os.kill(pid, signal.SIGKILL)
    assert parent.wait(120) == 0
    assert contents(tmp_path / "out") == whole


def test_two_predictions_into_one_file_are_refused(
    start: Callable[..., subprocess.Popen[bytes]], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(RSNA_FAULTS="slow@5")
    wait_for(lambda: (tmp_path / "out/s.csv").exists())
    monkeypatch.setattr("rsna.inference.journal.LOCK_SECONDS", 0.2)
    with pytest.raises(RsnaError, match="another prediction writes to"):
        run()
    assert (tmp_path / "out/s.csv").exists()  # of the other one


BROKEN: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-5000]),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "dangling": lambda path: (path.unlink(), path.symlink_to("nowhere")),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "wrong": lambda path: path.write_bytes(b"\0" * 5000),
}


def test_broken_files_of_every_kind_cost_their_own_predictions(
    run: Run, competition: Path, tmp_path: Path, rerun: None, whole: dict[str, bytes]
) -> None:
    for index, (kind, damage) in enumerate(BROKEN.items()):
        path = next(competition.glob(f"test_images/*/{100 + 2 * index}.dcm"))
        damage(path)
        assert kind
    report = run()
    assert report["filled"] == report["filled_from"]["unit"] == len(BROKEN)
    assert all(failed["reason"] for failed in report["failed"])
    check(competition, tmp_path / "out")
    before = pd.read_parquet(tmp_path / "whole/predictions.parquet").set_index(["member", "image_id"])
    after = pd.read_parquet(tmp_path / "out/predictions.parquet").set_index(["member", "image_id"])
    good = [image for image in after.index if int(image[1]) % 2]
    pd.testing.assert_frame_equal(after.loc[good], before.loc[good], check_exact=True)
