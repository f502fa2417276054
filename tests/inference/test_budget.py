"""Time that runs short: the clock, the forecast, and the steps that are taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.errors import InputError, Unfinished
from rsna.inference import Bundle, BundleSpec, Member, PredictOptions, Predictor, budget, predict_folder
from rsna.inference import run as run_module
from rsna.inference.budget import KAGGLE_LIMIT, Limits, Watch, describe, make_limits, parse_duration, process_age
from rsna.inference.setting import make_setting, next_steps


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("8h30m", 30600), ("1.5h", 5400), ("2m", 120), ("1h5s", 3605), (" 45S ", 45), ("3m0.5", 180.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5x", "-3", "30m8h", "1e3", "nan", "h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no duration; write seconds, or something like 8h30m"):
        parse_duration(text)


def test_durations_in_words() -> None:
    assert [describe(s) for s in (0.25, 59.96, 61, 3600, 30600)] == [
        "0.2 s",
        "1 min 00 s",
        "1 min 01 s",
        "1 h 00 min",
        "8 h 30 min",
    ]


def test_time_counts_from_the_command_and_on_kaggle_from_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_limits(PredictOptions()).seconds is None
    assert not make_limits(PredictOptions()).over
    assert make_limits(PredictOptions(time_limit=60)).started == pytest.approx(time.monotonic(), abs=1)
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    limits = make_limits(PredictOptions())
    assert limits.seconds == KAGGLE_LIMIT == 8.5 * 3600
    assert limits.started == pytest.approx(time.monotonic() - process_age(), abs=1)
    assert 0 < process_age() < 86400


@pytest.mark.parametrize(("seconds", "kept"), [(1, 0.5), (5, 1), (1000, 20), (30600, 120)])
def test_some_time_is_kept_for_writing(seconds: float, kept: float) -> None:
    assert Limits(50.0, seconds).stop == pytest.approx(50 + seconds - kept)


class Clock:
    """A clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(budget.time, "monotonic", lambda: self.now)


def test_the_forecast_is_arithmetic(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "rsna")
    clock = Clock(monkeypatch)
    watch = Watch(Limits(clock.now, 1000.0), 1000)
    clock.now += 30  # starting up does not count
    for _ in range(11):
        watch.add(10)
        clock.now += 10
    clock.now -= 10
    assert watch.left == 890
    assert watch.needed == pytest.approx(890)
    assert watch.late  # 130 s are gone, and 20 s are kept for writing
    assert "890 images to go at 1 a second: through after 17 min 00 s of 16 min 40 s" in watch.text
    assert caplog.text.count("images to go") == 1  # once in two minutes
    assert not Watch(Limits(clock.now, 1000.0), 10**6).late  # nothing is measured yet
    assert not Watch(Limits(clock.now, None), 10**6).late


MEMBERS = tuple(Member(f"fold_{fold}.safetensors", "", fold, 3) for fold in range(5))


def test_steps_in_the_bundles_order_until_nothing_is_left(spec: BundleSpec) -> None:
    spec = replace(spec, members=MEMBERS, tta=("hflip", "none"))
    setting = make_setting(spec, PredictOptions())
    seen: list[tuple] = []
    while steps := next_steps(spec, setting, [step for step, *_ in seen]):
        setting = setting.after(steps[0])
        seen.append((steps[0], len(setting.members), setting.tta, setting.divide))
    assert seen == [
        ("no-tta", 5, ("none",), 1),
        ("half-members", 3, ("none",), 1),
        ("one-member", 1, ("none",), 1),
        ("half-resolution", 1, ("none",), 2),
    ]
    assert next_steps(replace(spec, step_down=()), make_setting(spec, PredictOptions()), []) == []
    plain = replace(spec, tta=("none",), step_down=("no-tta", "half-resolution", "half-members", "half-members"))
    assert next_steps(plain, make_setting(plain, PredictOptions()), []) == ["half-resolution", *["half-members"] * 2]
    assert next_steps(plain, make_setting(plain, PredictOptions()), ["half-members"]) == ["half-members"]


@pytest.fixture
def hurried(
    make_bundle: Callable[..., Bundle],
    spec: BundleSpec,
    competition: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[dict, pd.DataFrame]]:
    """Predict images one by one with two members and two augmentations, late where so many images are left."""

    def hurry(late: set[int], **changes: object) -> tuple[dict, pd.DataFrame]:
        class Late(Watch):
            @property
            def late(self) -> bool:
                return self.left in late

        monkeypatch.setattr(run_module, "Watch", Late)
        bundle = make_bundle(spec=replace(spec, tta=("none", "hflip"), **changes), overwrite=True)
        options = PredictOptions(workers=1, batch_size=1, device="cpu", time_limit=1e6)
        report = predict_folder(bundle, competition, tmp_path / "out/s.csv", probability=True, options=options)
        return report, pd.read_parquet(tmp_path / "out/predictions.parquet")

    return hurry


def test_steps_are_recorded_in_the_report_and_in_the_predictions(
    hurried: Callable[..., tuple[dict, pd.DataFrame]], tmp_path: Path
) -> None:
    _, full = hurried(set())
    report, fewer = hurried({9, 7})
    assert [(step["step"], step["batch"]) for step in report["steps"]] == [("no-tta", 3), ("half-members", 5)]
    assert report["filled"] == 0
    order = fewer["image_id"].drop_duplicates().tolist()
    codes = fewer.groupby("image_id")["tta"].unique().loc[order].tolist()
    assert [list(code) for code in codes] == [[-1]] * 3 + [[0]] * 9
    assert fewer.groupby("image_id")["member"].nunique().loc[order].tolist() == [2] * 5 + [1] * 7
    left, right = (table.set_index(["member", "image_id"])["pred_cancer"] for table in (fewer, full))
    np.testing.assert_array_equal(left[fewer["tta"].to_numpy() == -1], right[left.index][fewer["tta"].to_numpy() == -1])
    units = fewer.groupby(["prediction_id", "image_id"])["pred_cancer"].mean().groupby("prediction_id").mean()
    found = pd.read_csv(tmp_path / "out/s.csv").set_index("prediction_id")["cancer"]
    np.testing.assert_allclose(found[units.index], units, rtol=1e-6)  # the mean over what there is


def test_half_the_resolution_is_the_last_resort(hurried: Callable[..., tuple[dict, pd.DataFrame]]) -> None:
    _, full = hurried(set())
    report, coarse = hurried({6}, step_down=("half-resolution",))
    assert [(step["step"], step["batch"]) for step in report["steps"]] == [("half-resolution", 6)]
    same = (coarse["pred_cancer"] == full["pred_cancer"]).to_numpy().reshape(2, 12)
    assert same[:, :6].all()
    assert not same[:, 6:].any()


def test_models_that_take_no_other_resolution_keep_theirs(
    hurried: Callable[..., tuple[dict, pd.DataFrame]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Predictor, images: list, number: int = 0) -> np.ndarray:
        if self.input.height == 24:
            raise AssertionError("Input height (24) doesn't match model (48).")
        return accept(self, images, number)

    accept = Predictor.batch
    monkeypatch.setattr(Predictor, "batch", refuse)
    report, _ = hurried({6}, step_down=("half-resolution",))
    assert (report["steps"], report["filled"]) == ([], 0)


def test_a_visible_run_that_is_cut_short_goes_on_with_more_time(
    bundle: Bundle, competition: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: PredictOptions
) -> None:
    out = tmp_path / "out/s.csv"
    monkeypatch.setenv("RSNA_FAULTS", "slow@0.5")
    with pytest.raises(Unfinished, match="the time limit came before"):
        predict_folder(bundle, competition, out, options=replace(options, time_limit=2.0))
    assert not out.exists()
    monkeypatch.delenv("RSNA_FAULTS")
    report = predict_folder(bundle, competition, out, options=options)
    assert report["not_reached"] == report["filled"] == 0
    assert out.exists()
