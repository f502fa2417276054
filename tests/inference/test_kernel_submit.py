"""The submit kernel: only what was pushed, checked on training images, a submission that fits, and a forecast."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from rsna.competitions import create_competition
from rsna.errors import InputError, RsnaError
from rsna.inference import Bundle, BundleSpec, PredictOptions, kernel_submit, predict_oof
from rsna.inference.kernel_submit import find_bundle, find_competition, main
from rsna.inference.speed import Speed, forward_seconds

CODE = "c" * 64
BUILD = {"commit": "0123456789abcdef", "dirty": False, "content_hash": CODE}
MakeBundle = Callable[..., Bundle]


@pytest.fixture
def true_bundle(make_bundle: MakeBundle, competition: Path, options: PredictOptions) -> Bundle:
    """A bundle whose out-of-fold predictions are what its members say."""
    oof = predict_oof(make_bundle(), competition, options=options)
    return make_bundle(oof=oof, overwrite=True)


@pytest.fixture
def mounts(true_bundle: Bundle, competition: Path, tmp_path: Path) -> Path:
    """What is mounted in a kernel."""
    root = tmp_path / "input"
    shutil.copytree(true_bundle.folder, root / "datasets/alice/rsna-model")
    (root / "competitions").mkdir()
    (root / "competitions/rsna-breast").symlink_to(competition)
    return root


@pytest.fixture
def run(mounts: Path, true_bundle: Bundle, tmp_path: Path, options: PredictOptions) -> Callable[..., dict]:
    """Run the kernel on what is mounted, told to take it."""
    (tmp_path / "working").mkdir()
    pushed = {"code": CODE, "bundle": true_bundle.spec.digest}
    return lambda **told: main(pushed | told, BUILD, mounts, tmp_path / "working", options)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log, which `setup_logging` would keep from pytest."""
    monkeypatch.setattr(kernel_submit, "setup_logging", lambda: None)
    caplog.set_level(logging.INFO, logger="rsna")
    return caplog


def test_a_visible_run_checks_itself_and_writes_a_submission(
    run: Callable[..., dict], true_bundle: Bundle, competition: Path, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    report = run()
    sample = competition / "sample_submission.csv"
    create_competition("breast").check_submission(tmp_path / "working/submission.csv", sample)
    assert report["bundle"]["digest"] == true_bundle.spec.digest
    said = log.text
    for text in (
        true_bundle.spec.digest,
        "code 0123456789ab",
        "threshold 0.5 ",
        "8 out-of-fold predictions reproduced",
    ):
        assert text in said
    check = json.loads((tmp_path / "working/check_report.json").read_text())
    assert (check["images"], check["passes"], check["hidden_images"]) == (8, 2, 32000)
    sizes = sum(path.stat().st_size for path in competition.glob("train_images/1[01]/*.dcm"))
    assert check["bytes"] == sizes


def test_a_rerun_only_predicts(
    run: Callable[..., dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, competition: Path
) -> None:
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")
    shutil.rmtree(competition / "train_images")  # whatever happens to them must not matter
    assert run()["rerun"] is True
    assert sorted(p.name for p in (tmp_path / "working").iterdir()) == [
        "predict_report.json",
        "predictions.parquet",
        "submission.csv",
    ]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"code": ""}, "was not told which code to run; push it with `rsna kaggle run submit`"),
        ({"code": "d" * 64}, "the code is cccccccccccc, this notebook was pushed for dddddddddddd"),
        ({"bundle": ""}, "was not told which bundle to submit; push it with `rsna kaggle run submit`"),
        ({"bundle": "d" * 64}, "the mounted bundle is .{12}, this notebook was pushed for dddddddddddd"),
    ],
)
def test_what_was_not_pushed_is_refused(
    run: Callable[..., dict], tmp_path: Path, told: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(**told)
    assert list((tmp_path / "working").iterdir()) == []


def test_of_several_mounted_bundles_the_pushed_one_is_taken(
    mounts: Path, true_bundle: Bundle, make_bundle: MakeBundle, spec: BundleSpec, tmp_path: Path
) -> None:
    other = make_bundle(folder=tmp_path / "other", spec=replace(spec, tta=("hflip",)))
    shutil.copytree(other.folder, mounts / "datasets/alice/a-model")
    assert find_bundle({"bundle": true_bundle.spec.digest}, mounts).name == "rsna-model"
    assert find_bundle({"bundle": other.spec.digest}, mounts).name == "a-model"


def test_a_damaged_bundle_is_refused(run: Callable[..., dict], mounts: Path) -> None:
    weights = mounts / "datasets/alice/rsna-model/fold_0.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="has the checksum"):
        run()


def test_nothing_mounted_says_what_to_attach(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is the data set of the model attached"):
        find_bundle({"bundle": "d" * 64}, tmp_path)
    with pytest.raises(InputError, match="attach the competition, and accept its rules"):
        find_competition(tmp_path)


def _mount(bundle: Bundle, mounts: Path) -> None:
    shutil.rmtree(mounts / "datasets/alice/rsna-model")
    shutil.copytree(bundle.folder, mounts / "datasets/alice/rsna-model")


def test_other_pictures_than_the_training_saw_fail_the_kernel(
    run: Callable[..., dict], make_bundle: MakeBundle, mounts: Path, tmp_path: Path
) -> None:
    wrong = make_bundle(overwrite=True)  # every prediction 0.3, which is not what the members say
    _mount(wrong, mounts)
    with pytest.raises(RsnaError, match="from its out-of-fold prediction"):
        run(bundle=wrong.spec.digest)
    assert not (tmp_path / "working/submission.csv").exists()


def test_skew_that_was_accepted_is_only_warned_of(
    run: Callable[..., dict],
    make_bundle: MakeBundle,
    spec: BundleSpec,
    mounts: Path,
    tmp_path: Path,
    log: pytest.LogCaptureFixture,
) -> None:
    wrong = make_bundle(overwrite=True, spec=replace(spec, accepted_skew="old decoder"))
    _mount(wrong, mounts)
    run(bundle=wrong.spec.digest)
    assert "skew was accepted: old decoder" in log.text
    assert (tmp_path / "working/submission.csv").is_file()


def test_a_few_patients_are_always_the_same_ones(
    true_bundle: Bundle, competition: Path, options: PredictOptions
) -> None:
    one = predict_oof(true_bundle, competition, options=options, patients=1)
    again = predict_oof(true_bundle, competition, options=options, patients=1)
    pd.testing.assert_frame_equal(one, again)
    assert len(one) == 4
    assert one["prediction_id"].str[:2].nunique() == 1
    assert len(predict_oof(true_bundle, competition, options=options, patients=99)) == 8


def test_the_forecast_is_arithmetic() -> None:
    speed = Speed(images=800, size=8_000_000_000, seconds=400.0, passes=4, forward=0.1)
    assert speed.seconds_per_image == pytest.approx(0.8)
    assert speed.hours == pytest.approx(32_000 * 0.8 / 3600)
    assert not speed.too_slow
    assert "800 training images of 8000.0 MB in 400.0 s: 0.500 s an image, 20 MB/s" in speed.measured
    assert "7.1 h of 9 h: 32,000 images of 8,000 patients, 0.800 s each" in speed.forecast
    assert replace(speed, forward=0.3).too_slow
    assert speed.report()["hidden_hours"] == pytest.approx(7.111)


def test_a_pass_is_timed(true_bundle: Bundle, options: PredictOptions) -> None:
    assert 0 < forward_seconds(true_bundle, options) < 1
