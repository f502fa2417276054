"""Ensembles: made of bundles of one split, opened only as what they were made, and predicting what their parts say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.ensembling.build import Built, build_ensemble
from rsna.errors import InputError, RsnaError
from rsna.inference import Bundle, PredictOptions, kernel_submit, predict_folder, write_bundle
from rsna.inference.ensemble import Ensemble, EnsembleSpec, Part, is_ensemble
from rsna.inference.predict_ensemble import predict_ensemble
from rsna.tables import read_parquet
from rsna.workflows.collect import Choices, collect

OPTIONS = PredictOptions(workers=1, device="cpu")


@pytest.fixture(scope="module")
def bundles(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two bundles of the same folds: one averages images, the other takes the most suspicious one."""
    root = tmp_path_factory.mktemp("bundles")
    for how in ("mean", "max"):
        collect([trained / "runs/tiny"], root / how, choices=Choices(aggregation=how))
    return [root / "mean", root / "max"]


@pytest.fixture(scope="module")
def built(bundles: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Their ensemble, three parts of the one and one of the other."""
    return build_ensemble(bundles, tmp_path_factory.mktemp("models") / "ens", "weights", [3, 1])


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles predict in this process, which saves the start of another one each."""

    def predict(
        folder: Path, data: Path, out: Path, cut: float | None, raw: bool, options: PredictOptions, digest: str
    ) -> dict[str, object]:
        return predict_folder(Bundle.open(folder, digest), data, out, cut, raw, options)

    monkeypatch.setattr("rsna.inference.predict_ensemble.predict_supervised", predict)


def test_an_ensemble_says_what_each_way_is_worth(built: Built) -> None:
    assert list(built.scores.index) == ["mean", "max", "mean of all", "rank of all", "weights of all"]
    assert [part.weight for part in built.ensemble.spec.parts] == [0.75, 0.25]
    assert len(built.weights) == 2
    assert built.weights.sum(axis=1).to_list() == pytest.approx([1, 1])
    assert is_ensemble(built.ensemble.folder)
    assert Ensemble.open(built.ensemble.folder, built.ensemble.spec.digest).spec == built.ensemble.spec


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("by", ["mean", "rank", "weights"])
def test_it_predicts_what_its_parts_say(bundles: list[Path], trained: Path, tmp_path: Path, by: str) -> None:
    ensemble = build_ensemble(bundles, tmp_path / "ens", by).ensemble  # type: ignore[arg-type]
    hidden = trained / "data/hidden"
    report = predict_ensemble(ensemble, hidden, tmp_path / "out/submission.csv", probability=True, options=OPTIONS)
    found = pd.read_csv(tmp_path / "out/submission.csv", dtype={"prediction_id": str})
    parts = []
    for folder, reference in zip(bundles, ensemble.references(), strict=True):
        predict_folder(Bundle.open(folder), hidden, tmp_path / folder.name / "s.csv", probability=True, options=OPTIONS)
        values = pd.read_csv(tmp_path / folder.name / "s.csv")["cancer"].to_numpy()
        known = np.sort(reference["pred_cancer"])
        place = (np.arange(len(known)) + 0.5) / len(known)
        parts.append(np.interp(values, known, place) if by == "rank" else values)
    expected = np.average(parts, axis=0, weights=[part.weight for part in ensemble.spec.parts])
    np.testing.assert_allclose(found["cancer"], expected, atol=1e-5)
    assert report["units"] == len(found)
    members = read_parquet(tmp_path / "out/predictions.parquet")["member"]
    assert set(members) == {f"{how}/fold_{fold}" for how in ("mean", "max") for fold in (0, 1)}
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.slow
def test_what_was_killed_between_two_bundles_goes_on(
    built: Built, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rsna.inference import predict_ensemble as module

    asked, predict = [], module.predict_supervised

    def dies(bundle: Path, *rest: object) -> dict[str, object]:
        asked.append(bundle.name)
        if asked == ["mean", "max"]:
            raise RsnaError("the power is off")
        return predict(bundle, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "predict_supervised", dies)
    out, hidden = tmp_path / "submission.csv", trained / "data/hidden"
    with pytest.raises(RsnaError, match="power is off"):
        predict_ensemble(built.ensemble, hidden, out, options=OPTIONS)
    assert not out.exists()  # in a visible run half an ensemble is no result
    predict_ensemble(built.ensemble, hidden, out, options=OPTIONS)
    assert asked == ["mean", "max", "max"]
    assert set(pd.read_csv(out)["cancer"]) <= {0, 1}


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_in_a_rerun_half_an_ensemble_is_better_than_nothing(
    built: Built, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rsna.inference import predict_ensemble as module

    predict = module.predict_supervised

    def dies(bundle: Path, *rest: object) -> dict[str, object]:
        if bundle.name == "max":
            raise RsnaError("the disk is full")
        return predict(bundle, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "predict_supervised", dies)
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")
    out, hidden = tmp_path / "submission.csv", trained / "data/hidden"
    report = predict_ensemble(built.ensemble, hidden, out, probability=True, options=OPTIONS)
    assert report["failed"] == {"max": "the disk is full"}
    predict_folder(Bundle.open(built.ensemble.folder / "mean"), hidden, tmp_path / "s.csv", None, True, OPTIONS)
    pd.testing.assert_frame_equal(pd.read_csv(out), pd.read_csv(tmp_path / "s.csv"))


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_the_submit_kernel_takes_an_ensemble(
    built: Built, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, digest = tmp_path / "input", built.ensemble.spec.digest
    shutil.copytree(built.ensemble.folder, root / "rsna-model/ens")
    shutil.copytree(trained / "data/hidden", root / "competitions/rsna")
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")
    pushed, build = {"code": "abc", "bundle": digest}, {"content_hash": "abc", "commit": "0" * 40}
    report = kernel_submit.main(pushed, build, root, tmp_path, OPTIONS)
    assert report["ensemble"]["digest"] == digest
    assert len(pd.read_csv(tmp_path / "submission.csv")) == report["units"]
    with pytest.raises(InputError, match="was pushed for 000000000000"):
        kernel_submit.find_bundle({"bundle": "0" * 64}, root)


def other_folds(bundle: Bundle, out: Path) -> Path:
    """The same bundle, but its predictions say that another split was used."""
    oof = bundle.oof()
    oof["row_fold"] = 1 - oof["row_fold"]
    weights = [bundle.folder / member.file for member in bundle.spec.members]
    write_bundle(out, bundle.spec, bundle.config, oof, weights)
    return out


def test_what_must_not_be_combined_is_refused(bundles: list[Path], tmp_path: Path) -> None:
    mean = Bundle.open(bundles[0])
    with pytest.raises(InputError, match="one table of folds"):
        build_ensemble([bundles[1], other_folds(mean, tmp_path / "other")], tmp_path / "ens")
    with pytest.raises(InputError, match="at least two bundles"):
        build_ensemble(bundles[:1], tmp_path / "ens")
    with pytest.raises(InputError, match="are the same"):
        build_ensemble([bundles[0], Path(shutil.copytree(bundles[0], tmp_path / "copy"))], tmp_path / "ens")
    with pytest.raises(InputError, match="once per bundle"):
        build_ensemble(bundles, tmp_path / "ens", "weights", [1])
    with pytest.raises(InputError, match="--by weights"):
        build_ensemble(bundles, tmp_path / "ens", "mean", [1, 2])
    (tmp_path / "thesis").mkdir()
    with pytest.raises(InputError, match="is no ensemble"):
        build_ensemble(bundles, tmp_path / "thesis", overwrite=True)
    assert not (tmp_path / "ens").exists()


EDITS: dict[str, tuple[Callable[[dict], object], str]] = {
    "a part elsewhere": (lambda c: c["parts"][0].update(folder="../mean"), "not a plain folder name"),
    "weights": (lambda c: c["parts"][0].update(weight=0.5), "sum to one"),
    "a negative weight": (lambda c: c["parts"][0].update(weight=-1.0), r"must lie in \[0, 1\]"),
    "another bundle": (lambda c: c["parts"][0].update(digest="0" * 64), "expected"),
    "a part that is gone": (lambda c: c["parts"][0].update(folder="gone"), "not a model bundle"),
    "the version": (lambda c: c.update(schema_version=9), "schema version 9"),
    "the competition": (lambda c: c.update(competition="chess"), "is for chess"),
    "one part": (lambda c: c.update(parts=c["parts"][:1]), "at least two parts"),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_altered_ensemble_is_one_line(built: Built, tmp_path: Path, what: str) -> None:
    folder = Path(shutil.copytree(built.ensemble.folder, tmp_path / "ens"))
    change, message = EDITS[what]
    content = json.loads((folder / "ensemble.json").read_text())
    change(content)
    (folder / "ensemble.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        Ensemble.open(folder)
    with pytest.raises(InputError, match="expected was"):
        Ensemble.open(built.ensemble.folder, "0" * 64)


def test_the_digest_follows_the_content(built: Built) -> None:
    spec = built.ensemble.spec
    assert replace(spec, commit="abc", created="now").digest == spec.digest
    other: EnsembleSpec = replace(spec, parts=(Part("mean", "x", 0.5), Part("max", "y", 0.5)))
    assert other.digest != spec.digest
