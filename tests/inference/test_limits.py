"""Little time and little memory for the whole command: steps that are taken one after the other, and 2 GB."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pandas as pd
import pytest

from rsna.competitions import create_competition
from rsna.inference import Bundle, BundleSpec, PredictOptions, budget, predict_supervised

pytestmark = pytest.mark.slow


@pytest.fixture
def many(competition: Path) -> Callable[[int], Path]:
    """The competition with so many copies of its patients, as links."""

    def repeat(copies: int) -> Path:
        table = pd.read_csv(competition / "test.csv", dtype=str)
        parts = []
        for copy in range(copies):
            part = table.assign(**{name: f"{copy}" + table[name] for name in ("patient_id", "image_id")})
            part["prediction_id"] = part["patient_id"] + "_" + part["laterality"]
            for old, new in zip(table.itertuples(), part.itertuples(), strict=True):
                path = competition / f"test_images/{new.patient_id}/{new.image_id}.dcm"
                path.parent.mkdir(exist_ok=True)
                path.symlink_to(competition / f"test_images/{old.patient_id}/{old.image_id}.dcm")
            parts.append(part)
        whole = pd.concat(parts)
        whole.to_csv(competition / "test.csv", index=False)
        units = whole[["prediction_id"]].drop_duplicates()
        units.assign(cancer=0.02).to_csv(competition / "sample_submission.csv", index=False)
        return competition

    return repeat


def test_every_step_is_taken_before_it_is_too_late_and_the_rest_is_filled_in(
    many: Callable[[int], Path],
    make_bundle: Callable[..., Bundle],
    spec: BundleSpec,
    options: PredictOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, limit = many(14), 60.0
    bundle = make_bundle(spec=replace(spec, tta=("none", "hflip")), overwrite=True)
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")
    monkeypatch.setenv("RSNA_FAULTS", "slow@0.4")  # 67 s for one pass of each image, and there are four
    monkeypatch.setattr(budget, "process_age", lambda: 0.0)  # as if the kernel had just been started
    short = replace(options, batch_size=1, time_limit=limit)
    start = time.monotonic()
    report = predict_supervised(bundle.folder, data, tmp_path / "out/s.csv", probability=True, options=short)
    assert time.monotonic() - start < limit + 60  # it is the limit that ends it, with room for a busy machine
    create_competition("breast").check_submission(tmp_path / "out/s.csv", data / "sample_submission.csv")
    steps = [(step["step"], step["batch"]) for step in report["steps"]]
    assert [name for name, _ in steps] == ["no-tta", "half-members", "half-resolution"]
    assert all(step["needed_s"] > step["left_s"] for step in report["steps"])
    table = pd.read_parquet(tmp_path / "out/predictions.parquet")
    images = table.groupby("image_id", sort=False).agg(
        members=("member", "nunique"), tta=("tta", "first"), divide=("divide", "max")
    )
    reached = len(images) - report["not_reached"]
    first, second, third = (batch for _, batch in steps)
    assert 0 < first < second < third <= reached < len(images)
    expected = np.ones((reached, 3), int) * (1, 0, 2)  # members, the only augmentation's number, divide
    expected[:third] = (1, 0, 1)
    expected[:second] = (2, 0, 1)
    expected[:first] = (2, -1, 1)
    np.testing.assert_array_equal(images.to_numpy()[:reached], expected)


def shares(pid: int) -> dict[int, float]:
    """The proportional memory of a process and of all below it, MB."""
    found = {}
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        found[pid] = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))
        below = [int(c) for path in Path(f"/proc/{pid}/task").glob("*/children") for c in path.read_text().split()]
    except (OSError, StopIteration):
        return found
    for child in below:
        found |= shares(child)
    return found


@pytest.fixture
def memory() -> Iterator[Callable[[], float]]:
    """The most memory, MB, that the processes below this one have had at one time."""
    peak, stop = [0.0], Event()

    def look() -> None:
        while not stop.wait(0.2):
            own = shares(os.getpid())
            own.pop(os.getpid(), None)
            peak[0] = max(peak[0], sum(own.values()))

    thread = Thread(target=look)
    thread.start()
    yield lambda: peak[0]
    stop.set()
    thread.join()


def test_two_gigabytes_are_enough_for_large_images(
    many: Callable[[int], Path],
    bundle: Bundle,
    options: PredictOptions,
    tmp_path: Path,
    memory: Callable[[], float],
    writer: Callable[..., None],
) -> None:
    data = many(4)
    for index, path in enumerate(sorted(data.glob("test_images/1[012]/*.dcm"))):
        writer(path, index, scale=42)  # 4032x2688, 22 MB
    report = predict_supervised(
        bundle.folder, data, tmp_path / "out/s.csv", options=replace(options, workers=4, batch_size=16)
    )
    assert (report["filled"], report["restarts"]) == (0, [])
    assert 100 < memory() < 2000
