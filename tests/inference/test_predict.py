"""From a folder of DICOM files to a submission, with everything that can be wrong on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.competitions import create_competition
from rsna.errors import InputError, RsnaError
from rsna.imaging import load_image
from rsna.inference import Bundle, PredictOptions, Predictor, check_oof, predict_folder, predict_oof

Run = Callable[..., dict]


@pytest.fixture
def run(bundle: Bundle, competition: Path, tmp_path: Path, options: PredictOptions) -> Run:
    """Predict the tiny competition into `out/`."""
    return lambda **changes: predict_folder(
        **({"bundle": bundle, "data": competition, "out": tmp_path / "out" / "s.csv", "options": options} | changes)
    )


@pytest.fixture
def rerun(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Kaggle's scoring rerun."""
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")


def read(path: Path) -> pd.Series:
    return pd.read_csv(path).set_index("prediction_id")["cancer"]


def test_the_submission_is_the_mean_over_members_and_views(
    run: Run, bundle: Bundle, competition: Path, tmp_path: Path
) -> None:
    report = run(probability=True)
    found = read(tmp_path / "out" / "s.csv")
    table = create_competition("breast").test_table(competition)
    pictures = [load_image(competition / path, bundle.config.data.imaging) for path in table["path"]]
    predictor = Predictor(bundle.models(), bundle.config.data.input)
    expected = predictor.predict(pictures).mean(axis=(1, 2))
    units = pd.Series(expected).groupby(table["prediction_id"].to_numpy()).mean()
    np.testing.assert_allclose(found[units.index], units, atol=1e-5)
    assert found.nunique() == 6  # or any order would do
    assert report["images"] == 12
    assert report["units"] == 6
    assert report["filled"] == 0
    assert report["failed"] == []
    assert report["threshold"] is None
    assert report["bundle"]["digest"] == bundle.spec.digest
    assert json.loads((tmp_path / "out" / "predict_report.json").read_text()) == report


def test_calls_are_made_at_the_bundles_threshold_or_at_the_one_given(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out" / "s.csv"
    run(probability=True)
    probability = read(out)
    middle = float(probability.median())
    for arguments, threshold in (({}, 0.5), ({"threshold": middle}, middle)):
        assert run(**arguments)["threshold"] == threshold
        pd.testing.assert_series_equal(read(out), (probability > threshold).astype(int))
    assert 0 < read(out).sum() < 6


def test_the_same_run_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    files = ("s.csv", "predictions.parquet")
    run(out=tmp_path / "a" / "s.csv", probability=True)
    run(out=tmp_path / "b" / "s.csv", probability=True)
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_predictions_hold_every_image_and_member(run: Run, tmp_path: Path) -> None:
    run()
    predictions = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert len(predictions) == 24
    assert predictions.groupby("member")["image_id"].nunique().to_dict() == {"fold_0": 12, "fold_1": 12}
    assert predictions["pred_cancer"].between(0, 1).all()


BROKEN = {
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-5000]),
    "not DICOM": lambda path: path.write_text("<html>404</html>"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_bad_image_costs_a_rerun_only_its_own_prediction(
    run: Run, competition: Path, tmp_path: Path, rerun: None, kind: str
) -> None:
    out = tmp_path / "out" / "s.csv"
    run(probability=True)
    whole = read(out)
    BROKEN[kind](competition / "test_images/10/100.dcm")
    report = run(probability=True)
    predictions = pd.read_parquet(tmp_path / "out" / "predictions.parquet").set_index(["member", "image_id"])
    for member in ("fold_0", "fold_1"):  # its breast's other view stands in
        assert predictions.loc[(member, "100"), "pred_cancer"] == predictions.loc[(member, "101"), "pred_cancer"]
    pd.testing.assert_series_equal(read(out).drop("10_L"), whole.drop("10_L"), check_exact=True)
    assert report["filled"] == 1
    assert report["rerun"]
    (failed,) = report["failed"]
    assert failed["image_id"] == "100"
    assert failed["path"] == "test_images/10/100.dcm"
    assert failed["reason"]


def test_a_rerun_without_one_usable_image_still_submits_the_prior(
    run: Run, competition: Path, tmp_path: Path, rerun: None
) -> None:
    for path in competition.glob("test_images/*/*.dcm"):
        path.unlink()
    assert run(probability=True)["filled"] == 12
    np.testing.assert_allclose(read(tmp_path / "out" / "s.csv"), 0.02, rtol=1e-6)


def test_a_visible_run_with_too_many_bad_images_fails_and_leaves_the_report(
    run: Run, competition: Path, tmp_path: Path
) -> None:
    run()
    (competition / "test_images/10/100.dcm").write_bytes(b"")
    with pytest.raises(RsnaError, match="1 of 12 images could not be used, more than 1%") as caught:
        run()
    assert caught.value.exit_status == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predict_report.json"]  # nor that of the first run
    assert json.loads((tmp_path / "out" / "predict_report.json").read_text())["failed"][0]["image_id"] == "100"


def test_models_that_give_no_number_are_noticed(
    run: Run, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = bundle.models()
    models[0].head.bias.data.fill_(float("nan"))
    monkeypatch.setattr(Bundle, "models", lambda self, members=None: models)
    with pytest.raises(RsnaError, match="12 of 12 images"):
        run()
    report = json.loads((tmp_path / "out" / "predict_report.json").read_text())
    assert {failed["reason"] for failed in report["failed"]} == {"the models' output is not a number"}


def test_a_sample_that_asks_for_other_units_is_refused_before_any_work(run: Run, competition: Path) -> None:
    sample = competition / "sample_submission.csv"
    pd.read_csv(sample).iloc[1:].to_csv(sample, index=False)
    with pytest.raises(InputError, match=r"test.csv: the id '10_L' is not in the sample"):
        run()


@pytest.mark.parametrize("name", ["test.csv", "sample_submission.csv"])
def test_a_missing_table_is_named(run: Run, competition: Path, name: str) -> None:
    (competition / name).unlink()
    with pytest.raises(InputError, match=name):
        run()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../10/100", "does not stay inside"),
        ("../../../data/test_images/10/100", "does not stay inside"),
        ("/etc/passwd", "No such file"),  # below the patient's folder, where it is not
        ("1" * 300, "File name too long"),
    ],
)
def test_an_id_never_becomes_a_path_elsewhere(
    run: Run, competition: Path, tmp_path: Path, rerun: None, name: str, reason: str
) -> None:
    table = create_competition("breast").test_table(competition)
    text = (competition / "test.csv").read_text().replace(",100,L", f",{name},L")
    (competition / "test.csv").write_text(text)
    report = run(probability=True)
    (failed,) = report["failed"]
    assert (failed["image_id"], failed["filled_from"]) == (name, "unit")
    assert reason in failed["reason"]
    assert set(read(tmp_path / "out" / "s.csv").index) == set(table["prediction_id"])


def test_folders_may_be_links_and_dangling_ones_cost_an_image(
    run: Run, competition: Path, tmp_path: Path, rerun: None
) -> None:
    whole = run(probability=True)
    before = read(tmp_path / "out" / "s.csv")
    (competition / "test_images").rename(tmp_path / "large disk")
    (competition / "test_images").symlink_to(tmp_path / "large disk")
    assert run(probability=True)["filled"] == whole["filled"] == 0
    pd.testing.assert_series_equal(read(tmp_path / "out" / "s.csv"), before, check_exact=True)
    (competition / "test_images/10/100.dcm").unlink()
    (competition / "test_images/10/100.dcm").symlink_to(tmp_path / "nowhere")
    assert "does not exist" in run()["failed"][0]["reason"]


def test_an_output_folder_that_cannot_be_made_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        run(out=tmp_path / "file" / "s.csv")
    with pytest.raises(InputError, match="is a folder; name the file"):
        run(out=tmp_path)


def test_probabilities_have_no_threshold(run: Run) -> None:
    with pytest.raises(InputError, match="give one of them"):
        run(probability=True, threshold=0.3)


def test_augmentations_given_replace_the_bundles(run: Run, options: PredictOptions, tmp_path: Path) -> None:
    out = tmp_path / "out" / "s.csv"
    run(probability=True)
    plain = read(out)
    assert run(probability=True, options=replace(options, tta=("none", "hflip")))["tta"] == ["none", "hflip"]
    assert not np.allclose(plain, read(out), atol=1e-6)


@pytest.fixture
def truthful(make_bundle: Callable[..., Bundle], bundle: Bundle, competition: Path, options: PredictOptions) -> Bundle:
    """A bundle whose out-of-fold predictions are its members' own."""
    return make_bundle(oof=predict_oof(bundle, competition, options=options), overwrite=True)


def test_training_images_through_their_member_give_the_out_of_fold_predictions(
    truthful: Bundle, competition: Path, options: PredictOptions
) -> None:
    predictions = predict_oof(truthful, competition, options=options)
    assert check_oof(truthful, predictions) == 0
    assert predictions["row_fold"].equals(predictions["model_fold"])
    one = predict_oof(truthful, competition, [1], replace(options, batch_size=3))
    assert set(one["member"]) == {"fold_1"}
    assert len(one) == 4
    assert check_oof(truthful, one) < 1e-4


def test_weights_that_did_not_make_the_predictions_break_the_law(
    truthful: Bundle,
    make_bundle: Callable[..., Bundle],
    weights: list[Path],
    competition: Path,
    options: PredictOptions,
) -> None:
    swapped = make_bundle(oof=truthful.oof(), weights=weights[::-1], overwrite=True)
    with pytest.raises(RsnaError, match=r"and 8 of 8 by more than 0\.0001"):
        check_oof(swapped, predict_oof(swapped, competition, options=options))


def test_a_training_image_that_cannot_be_read_is_an_error(
    truthful: Bundle, competition: Path, options: PredictOptions
) -> None:
    (competition / "train_images/10/102.dcm").unlink()
    with pytest.raises(InputError, match="training image 102"):
        predict_oof(truthful, competition, options=options)


def test_folds_and_data_of_another_bundle_are_refused(
    bundle: Bundle, competition: Path, options: PredictOptions
) -> None:
    with pytest.raises(InputError, match=r"no member for the fold\(s\) 7"):
        predict_oof(bundle, competition, [0, 7], options)
    train = pd.read_csv(competition / "train.csv")
    train[train["patient_id"] != 11].to_csv(competition / "train.csv", index=False)
    with pytest.raises(InputError, match="lacks training images"):
        predict_oof(bundle, competition, options=options)
