"""From trained folds to a bundle, and the law: the DICOMs of a fold give its out-of-fold predictions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.competitions import create_competition
from rsna.data import PreparedSet
from rsna.errors import InputError
from rsna.imaging import read_png, write_png
from rsna.inference import Bundle, PredictOptions, check_oof, predict_folder, predict_oof
from rsna.io import read_yaml, write_yaml
from rsna.workflows.collect import collect

OPTIONS = PredictOptions(workers=1, device="cpu")


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run folders, for tests that break them."""
    return Path(shutil.copytree(trained / "runs/tiny", tmp_path / "tiny"))


def test_the_law_holds(bundle: Bundle, trained: Path) -> None:
    for fold in (0, 1):
        predictions = predict_oof(bundle, trained / "data", [fold], OPTIONS)
        assert set(predictions["row_fold"]) == {fold}
        assert check_oof(bundle, predictions) < 1e-4
    assert bundle.oof()["pred_cancer"].nunique() > 10  # or anything would be equal to anything


def test_the_bundle_holds_what_the_runs_said(bundle: Bundle, trained: Path) -> None:
    table = PreparedSet.open(trained / "prepared").table
    assert sorted(bundle.oof()["image_id"]) == sorted(table["image_id"])
    assert [member.fold for member in bundle.spec.members] == [0, 1]
    for member in bundle.spec.members:
        said = json.loads((trained / f"runs/tiny/fold_{member.fold}/metrics.json").read_text())
        assert (member.epoch, member.score) == (said["epoch"], said["score"])
    competition = create_competition("breast")
    assert bundle.spec.threshold == competition.fit_threshold(bundle.oof(), "mean")
    assert bundle.spec.priors == competition.priors(table)
    assert bundle.spec.accepted_skew == ""
    assert bundle.config.fold == "all"


def test_the_hidden_test_is_predicted_from_the_bundle(bundle: Bundle, trained: Path, tmp_path: Path) -> None:
    hidden = trained / "data/hidden"
    report = predict_folder(bundle, hidden, tmp_path / "submission.csv", options=OPTIONS)
    competition = create_competition("breast")
    submission = competition.check_submission(tmp_path / "submission.csv", hidden / "sample_submission.csv")
    assert report["filled"] == 0
    assert "score" in competition.score(submission, competition.read_solution(hidden / "solution.csv"))


def test_one_fold_makes_a_bundle_too(trained: Path, tmp_path: Path) -> None:
    one = collect([trained / "runs/tiny/fold_1"], tmp_path / "bundle", tta=("none", "hflip"))
    assert [member.name for member in one.spec.members] == ["fold_1"]
    assert one.spec.tta == ("none", "hflip")


def edit_config(run: Path, change: Callable[[dict], None]) -> None:
    config = read_yaml(run / "config.yaml")
    change(config)
    write_yaml(run / "config.yaml", config)


def edit_oof(run: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_parquet(run / "oof.parquet")).to_parquet(run / "oof.parquet")


def first_to_other_fold(oof: pd.DataFrame) -> pd.DataFrame:
    return oof.assign(image_id=["1", *oof["image_id"].iloc[1:]])


WRONG = {
    "an unfinished run": (lambda run: (run / "metrics.json").unlink(), "not finished: it lacks metrics.json"),
    "no weights": (lambda run: (run / "weights.safetensors").unlink(), "it lacks weights.safetensors"),
    "another seed": (
        lambda run: edit_config(run, lambda c: c.update(seed=7)),
        r"different configurations .seed: 0 != 7",
    ),
    "an unknown key": (lambda run: edit_config(run, lambda c: c.update(sed=7)), r"config.yaml: unknown key\(s\) sed"),
    "the same fold": (
        lambda run: edit_config(run, lambda c: c.update(fold=0)),
        "does not hold the predictions of fold 0",
    ),
    "a missing image": (lambda run: edit_oof(run, lambda t: t.iloc[1:]), "lacks 1 of the"),
    "an image twice": (
        lambda run: edit_oof(run, lambda t: t.iloc[[0, *range(len(t))]]),
        "is there twice or not in fold 1",
    ),
    "an image of nobody": (lambda run: edit_oof(run, first_to_other_fold), "image 1 is there twice or not in fold 1"),
    "other predictions": (
        lambda run: edit_oof(run, lambda t: t.assign(pred_cancer=t["pred_cancer"] + np.float32(0.01))),
        "weights.safetensors did not make .*oof.parquet: a prediction differs by 0.01",
    ),
    "other weights": (
        lambda run: shutil.copy(run.parent / "fold_0/weights.safetensors", run / "weights.safetensors"),
        "weights.safetensors did not make",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_belong_together_is_refused(runs: Path, tmp_path: Path, what: str) -> None:
    change, message = WRONG[what]
    change(runs / "fold_1")
    with pytest.raises(InputError, match=message):
        collect([runs], tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_where_things_are_may_differ_between_folds(runs: Path, trained: Path, tmp_path: Path) -> None:
    edit_config(runs / "fold_1", lambda config: config["env"].update(prepared="/kaggle/input/prepared", workers=4))
    assert collect([runs], tmp_path / "bundle").spec.digest


def test_one_fold_twice_is_refused(trained: Path, runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fold 0 is there twice: .*fold_0 and .*fold_0"):
        collect([trained / "runs/tiny/fold_0", runs], tmp_path / "bundle")


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no training run"):
        collect([tmp_path], tmp_path / "bundle")


def test_an_unknown_augmentation_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tta: rot90 must be"):
        collect([trained / "runs/tiny"], tmp_path / "bundle", tta=("rot90",))


def test_a_limited_trial_can_be_collected(
    trained: Path, runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for run in (runs / "fold_0", runs / "fold_1"):
        edit_config(run, lambda config: config.update(limit=8))
    edit_oof(runs / "fold_1", lambda table: table.iloc[1:])
    collect([runs], tmp_path / "bundle")
    assert "cover only" in caplog.text


def test_pictures_that_cannot_be_made_again_are_refused_unless_accepted(trained: Path, tmp_path: Path) -> None:
    prepared = Path(shutil.copytree(trained / "prepared", tmp_path / "prepared"))
    for path in prepared.glob("images/*/*.png"):  # one grey level in one pixel: as an updated decoder would do it
        pixels = read_png(path)
        pixels[0, 0] ^= 1
        write_png(path, pixels)
    arguments = {"paths": [trained / "runs/tiny"], "out": tmp_path / "bundle", "prepared": prepared}
    with pytest.raises(InputError, match=r"not reproduced by its own spec \(8 of the sampled pictures differ"):
        collect(**arguments)
    assert "8 of the sampled" in collect(**arguments, accept_skew=True).spec.accepted_skew


def test_without_the_images_skew_has_to_be_accepted(trained: Path, tmp_path: Path) -> None:
    arguments = {"paths": [trained / "runs/tiny"], "out": tmp_path / "bundle", "data": tmp_path / "nowhere"}
    with pytest.raises(InputError, match=r"there is no data folder .*nowhere"):
        collect(**arguments)
    assert collect(**arguments, accept_skew=True).spec.accepted_skew.startswith("not compared")


def test_collecting_again_changes_nothing(bundle: Bundle, trained: Path) -> None:
    written = (bundle.folder / "bundle.json").stat().st_mtime_ns
    assert collect([trained / "runs/tiny"], bundle.folder).spec == bundle.spec
    assert (bundle.folder / "bundle.json").stat().st_mtime_ns == written
