"""Several views on the way to a submission: partners, missing and unusable ones, and the law."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rsna.competitions import create_competition
from rsna.config import ViewsSpec
from rsna.config.training import TrainConfig
from rsna.data.dataset import normalise, to_input
from rsna.data.views import plan_views
from rsna.imaging import load_image
from rsna.inference import Bundle, PredictOptions, predict_folder, predict_oof
from rsna.inference.images import predict_images

VIEWS = {
    "two": ViewsSpec("breast"),
    "four": ViewsSpec("patient", "mask", "attention"),
}


@pytest.fixture(params=list(VIEWS))
def config(config: TrainConfig, request: pytest.FixtureRequest) -> TrainConfig:
    """Of a network that sees several views."""
    return replace(config, model=replace(config.model, views=VIEWS[request.param]))


def expected(bundle: Bundle, data: Path, bad: str = "") -> pd.Series:
    """The mean over members for every test image, by the plan and the models alone."""
    table = create_competition("breast").test_table(data)
    spec, seen = bundle.config.model.views, bundle.config.data.input
    paths = table.set_index("image_id")["path"]
    pictures = {
        image: normalise(to_input(load_image(data / path, bundle.config.data.imaging), seen), seen)
        for image, path in paths.items()
        if image != bad
    }
    values = {}
    for sample in plan_views(table, spec):
        if sample.anchor == bad:
            continue
        shown = [sample.anchor if slot == bad and spec.missing == "duplicate" else slot for slot in sample.slots]
        absent = torch.zeros(1, seen.height, seen.width)
        images = torch.stack([pictures.get(slot or "", absent) for slot in shown])[None]
        with torch.inference_mode():
            values[sample.anchor] = np.mean([float(m.eval()(images).sigmoid()) for m in bundle.models()])
    return pd.Series(values)


def test_images_are_predicted_with_their_partners(
    bundle: Bundle, competition: Path, tmp_path: Path, options: PredictOptions
) -> None:
    table = create_competition("breast").test_table(competition)
    values, failures = predict_images(bundle, table, competition, bundle.spec.members, options)
    wanted = expected(bundle, competition)
    np.testing.assert_allclose(values.mean(axis=(1, 2)), wanted[table["image_id"]], atol=1e-5)
    assert not failures
    # batches of five: partners lie in other batches
    predict_folder(bundle, competition, tmp_path / "s.csv", None, True, replace(options, batch_size=5))
    found = pd.read_parquet(tmp_path / "predictions.parquet").groupby("image_id")["pred_cancer"].mean()
    np.testing.assert_allclose(found[wanted.index], wanted, atol=1e-5)


def test_an_unusable_partner_is_a_missing_view(
    bundle: Bundle, competition: Path, tmp_path: Path, options: PredictOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")
    (competition / "test_images/10/101.dcm").write_bytes(b"nothing")
    report = predict_folder(bundle, competition, tmp_path / "s.csv", None, True, options)
    assert [failure["image_id"] for failure in report["failed"]] == ["101"]
    wanted = expected(bundle, competition, "101")
    found = pd.read_parquet(tmp_path / "predictions.parquet").groupby("image_id")["pred_cancer"].mean()
    np.testing.assert_allclose(found[wanted.index], wanted, atol=1e-5)


def test_predicting_a_fold_again_finds_the_same_partners(
    bundle: Bundle, competition: Path, options: PredictOptions
) -> None:
    first = predict_oof(bundle, competition, options=options)
    again = predict_oof(bundle, competition, folds=[1], options=replace(options, workers=2))
    both = again.merge(first, on=["member", "image_id"], suffixes=("", "_first"))
    assert len(both) == 4
    np.testing.assert_array_equal(both["pred_cancer"], both["pred_cancer_first"])
