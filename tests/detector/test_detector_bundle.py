"""The detector's way: prepared with it, trained, collected, and predicted by the very same regions."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from detecting import bright_file

from rsna.competitions import create_competition
from rsna.config import PrepareConfig
from rsna.config.compose import compose
from rsna.config.training import TrainConfig
from rsna.data import PreparedSet
from rsna.errors import InputError, RsnaError
from rsna.inference import Bundle, PredictOptions, check_oof, oof, predict_folder, predict_oof, predict_supervised
from rsna.inference import images as inference_images
from rsna.io import sha256_file
from rsna.preparation.detection.networks import load_detector
from rsna.preparation.detection.predict import predict_boxes
from rsna.preparation.folds import make_folds
from rsna.preparation.label import predict_prepared
from rsna.preparation.prepare import prepare
from rsna.tables import write_csv
from rsna.training import train
from rsna.workflows.collect import collect

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

OPTIONS = PredictOptions(workers=1, device="cpu")


def places(lab: Path, prepared: Path) -> list[str]:
    size = ["data.imaging.height=96", "data.imaging.width=64"]
    return [f"env.data={lab}/data", f"env.prepared={prepared}", "env.workers=1", "data=breast_256", *size]


@pytest.fixture(scope="module")
def root(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector `net.onnx`, `prepared` with it, and `runs/tiny` of two folds."""
    root = tmp_path_factory.mktemp("bundle")
    boxes = f"boxes={bright_file(root / 'net.onnx')}"
    prepare(compose(PrepareConfig, "prepare", [*places(lab, root / "prepared"), boxes]))
    table = PreparedSet.open(root / "prepared").table
    write_csv(root / "prepared" / "folds.csv", make_folds(create_competition("breast"), table, 2, 0))
    run = ["debug=smoke", "name=tiny", "fold=all", "limit=0", "trainer.epochs=1", f"env.runs={root}/runs"]
    seen = ["data.input.height=64", "data.input.width=32", "env.workers=0"]
    train(compose(TrainConfig, "train", [*run, *places(lab, root / "prepared"), *seen]))
    return root


@pytest.fixture(scope="module")
def bundle(root: Path) -> Bundle:
    """Of the two folds."""
    return collect([root / "runs/tiny"], root / "bundle")


@pytest.fixture
def no_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding workers that find no ONNX Runtime."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "onnxruntime.py").write_text("raise ImportError('not here')")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "hidden"), *sys.path])


def test_the_bundle_holds_the_detector(bundle: Bundle, root: Path) -> None:
    digest = sha256_file(root / "net.onnx")
    assert bundle.spec.detector is not None
    assert (bundle.spec.detector.sha256, bundle.spec.detector.score) == (digest, 0.5)
    assert bundle.spec.files()["detector.onnx"] == digest
    assert (bundle.folder / "detector.onnx").read_bytes() == (root / "net.onnx").read_bytes()
    assert bundle.spec.accepted_skew == ""
    assert json.loads((bundle.folder / "bundle.json").read_text())["detector"]["sha256"] == digest


def test_the_law_holds_by_the_detectors_regions_and_by_no_others(
    bundle: Bundle, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = predict_oof(bundle, lab / "data", options=OPTIONS)
    assert len(predictions) == len(bundle.oof())
    assert check_oof(bundle, predictions) < 1e-4
    monkeypatch.setattr(inference_images, "choose_finder", lambda bundle: (None, ""))
    with pytest.raises(RsnaError, match="from its out-of-fold prediction"):
        check_oof(bundle, predict_oof(bundle, lab / "data", options=OPTIONS))


def test_a_few_boxes_may_round_otherwise_on_another_processor(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    predictions = bundle.oof().copy()
    predictions.loc[predictions.index[0], "pred_cancer"] += 0.01
    with pytest.raises(RsnaError, match=f"and 1 of {len(predictions)} by more than 0.0001"):
        check_oof(bundle, predictions)
    monkeypatch.setattr(oof, "DETECTED_BEYOND", 1 / len(predictions))
    assert check_oof(bundle, predictions) == pytest.approx(0.01, abs=1e-6)
    assert "rounds a few boxes" in caplog.text
    predictions.loc[predictions.index[1], "pred_cancer"] = np.nan
    with pytest.raises(RsnaError, match="and 2 of"):
        check_oof(bundle, predictions)
    plain = replace(bundle, spec=replace(bundle.spec, detector=None))
    with pytest.raises(RsnaError, match="and 1 of"):
        check_oof(plain, predictions.drop(index=predictions.index[1]))


def test_an_altered_or_missing_detector_is_no_bundle(bundle: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle.folder, tmp_path / "bundle"))
    bright_file(folder / "detector.onnx", score=0.9)
    with pytest.raises(InputError, match=r"detector\.onnx has the checksum"):
        Bundle.open(folder)
    (folder / "detector.onnx").unlink()
    with pytest.raises(InputError, match=r"lacks the file detector\.onnx"):
        Bundle.open(folder)


def predicted(folder: Path) -> np.ndarray:
    return pd.read_parquet(folder / "predictions.parquet")["pred_cancer"].to_numpy()


@pytest.mark.parametrize("supervised", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_without_the_runtime_a_visible_run_fails(
    bundle: Bundle, lab: Path, tmp_path: Path, no_runtime: None, supervised: bool
) -> None:
    hidden, out = lab / "data" / "hidden", tmp_path / "s.csv"
    predict = partial(predict_supervised, bundle.folder) if supervised else partial(predict_folder, bundle)
    with pytest.raises(InputError, match=r"the detector cannot be used: .*pip install rsna\[export\]"):
        predict(hidden, out, options=OPTIONS)
    assert not out.exists()


def test_without_the_runtime_a_rerun_goes_on_and_says_so(
    bundle: Bundle, lab: Path, tmp_path: Path, no_runtime: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = lab / "data" / "hidden"
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")
    report = predict_folder(bundle, hidden, tmp_path / "rerun" / "s.csv", options=OPTIONS)
    (note,) = report["notes"]
    assert "regions are found by 'threshold' instead" in note
    assert report["filled"] == 0
    monkeypatch.undo()
    assert predict_folder(bundle, hidden, tmp_path / "right" / "s.csv", options=OPTIONS)["notes"] == []
    assert not np.allclose(predicted(tmp_path / "rerun"), predicted(tmp_path / "right"), atol=1e-4)


def test_the_detectors_table_is_refused_since_a_submission_has_none(
    bundle: Bundle, root: Path, lab: Path, tmp_path: Path
) -> None:
    predict_boxes(load_detector(root / "net.onnx"), lab / "data" / "train_images", tmp_path / "boxes.csv", workers=1)
    prepared = tmp_path / "prepared"
    prepare(compose(PrepareConfig, "prepare", [*places(lab, prepared), f"boxes={tmp_path / 'boxes.csv'}"]))
    folds = root / "prepared" / "folds.csv"
    arguments = {"paths": [root / "runs/tiny"], "out": tmp_path / "bundle", "prepared": prepared, "folds": folds}
    with pytest.raises(InputError, match=r"a submission does not have: .*rsna prepare boxes=FILE\.onnx"):
        collect(**arguments)
    accepted = collect(**arguments, accept_skew=True)
    assert "table of boxes" in accepted.spec.accepted_skew
    assert accepted.spec.detector is None
    with pytest.raises(InputError, match=r"prepared with other settings .*detector"):
        predict_prepared(bundle, PreparedSet.open(prepared))
    assert len(predict_prepared(bundle, PreparedSet.open(root / "prepared"))) == 2 * len(bundle.oof())


def test_a_set_that_has_lost_its_detector_is_named(root: Path, tmp_path: Path) -> None:
    prepared = Path(shutil.copytree(root / "prepared", tmp_path / "prepared"))
    (prepared / "detector.onnx").unlink()
    arguments = {"paths": [root / "runs/tiny"], "out": tmp_path / "bundle", "prepared": prepared}
    for more in ({}, {"accept_skew": True, "data": tmp_path / "nowhere"}):
        with pytest.raises(InputError, match=r"detector\.onnx"):
            collect(**arguments, **more)
