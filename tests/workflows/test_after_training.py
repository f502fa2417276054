"""After a training: the epochs that stay, the choice between them, the report, what `collect` takes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsna.config.compose import compose
from rsna.config.training import KeepSpec, TrainConfig
from rsna.data import PreparedSet
from rsna.errors import InputError
from rsna.inference import Bundle, PredictOptions, check_oof, predict_folder, predict_oof
from rsna.io import read_yaml
from rsna.models.weights import read_weights
from rsna.training import train
from rsna.workflows.checkpoints import kept_weights
from rsna.workflows.collect import Choices, collect
from rsna.workflows.report import write_report
from rsna.workflows.runs import read_runs

OPTIONS = PredictOptions(workers=1, device="cpu")


@pytest.fixture(scope="module")
def kept(trained: Path) -> Path:
    """Two folds of four epochs, whose best one and every second one stay."""
    said = read_yaml(trained / "runs/tiny/fold_0/config.yaml")
    places = [f"env.{key}={said['env'][key]}" for key in ("data", "prepared", "runs")]
    size = ["data.imaging.height=96", "data.imaging.width=64", "data.input.height=64", "data.input.width=32"]
    run = ["debug=smoke", "name=kept", "fold=all", "limit=0", "env.workers=0", "data=breast_256", *places, *size]
    train(compose(TrainConfig, "train", [*run, "trainer.epochs=4", "trainer.keep.top=1", "trainer.keep.every=2"]))
    return trained / "runs/kept"


@pytest.mark.parametrize(
    ("rule", "scores", "expected"),
    [
        (KeepSpec(), [0.1, 0.2], set()),
        (KeepSpec(top=2), [0.1, 0.3, 0.3, 0.2], {1, 2}),
        (KeepSpec(top=1), [0.3, 0.3], {0}),  # of equals the first, as the best epoch is
        (KeepSpec(every=3), [0.0] * 7, {2, 5}),
        (KeepSpec(top=1, every=2), [0.9, 0.1, 0.1, 0.1], {0, 1, 3}),
    ],
)
def test_which_epochs_stay(rule: KeepSpec, scores: list[float], expected: set[int]) -> None:
    assert rule.epochs(scores) == expected


def test_an_epoch_of_the_final_top_was_in_the_top_when_it_ended() -> None:
    random, rule = np.random.default_rng(0), KeepSpec(top=3)
    for _ in range(50):
        scores = random.integers(0, 6, 12).tolist()
        assert all(epoch in rule.epochs(scores[: epoch + 1]) for epoch in rule.epochs(scores))


@pytest.mark.slow
def test_the_weights_of_the_kept_epochs_stay(kept: Path) -> None:
    for run in read_runs([kept]):
        stems = {int(path.stem) for path in run.folder.tables.glob("*.safetensors")}
        assert stems == {1, 3, run.epoch}
        best, same = read_weights(run.folder.weights), read_weights(run.folder.epoch_weights(run.epoch))
        assert all((best[name] == same[name]).all() for name in best)
        assert set(kept_weights(run)) == stems
        assert len(list(run.folder.tables.glob("*_units.parquet"))) == 4


@pytest.mark.slow
def test_another_epoch_is_collected_with_its_own_predictions(kept: Path, trained: Path, tmp_path: Path) -> None:
    last = collect([kept], tmp_path / "last", choices=Choices(select="last"))
    assert [member.epoch for member in last.spec.members] == [3, 3]
    assert check_oof(last, predict_oof(last, trained / "data", options=OPTIONS)) < 1e-4
    joint = collect([kept], tmp_path / "joint", choices=Choices(select="joint"))
    assert joint.competition.evaluate(joint.oof(), "mean")["unit/mean_auc"] >= (
        last.competition.evaluate(last.oof(), "mean")["unit/mean_auc"] - 1e-6
    )


def test_a_training_that_kept_nothing_leaves_no_choice(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fewer than two epochs.*trainer\.keep\.top"):
        collect([trained / "runs/tiny"], tmp_path / "bundle", choices=Choices(select="joint"))


def test_a_learned_aggregation_travels_in_the_bundle(trained: Path, tmp_path: Path) -> None:
    choices = Choices(aggregation="learned", by="site_id", threshold="p60")
    bundle = collect([trained / "runs/tiny"], tmp_path / "bundle", choices=choices)
    again = Bundle.open(bundle.folder)
    assert again.spec.learned_aggregation == bundle.spec.learned_aggregation
    assert again.spec.learned_aggregation is not None
    assert again.spec.learned_aggregation.by == "site_id"
    units = again.competition.aggregate(again.oof(), again.spec.rule)
    assert (units["pred_cancer"] > again.spec.threshold.value).mean() == pytest.approx(0.4, abs=0.06)
    report = predict_folder(again, trained / "data/hidden", tmp_path / "submission.csv", options=OPTIONS)
    assert report["aggregation"] == "learned"
    assert report["filled"] == 0


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"aggregation": "mode"}, "--aggregation mode: choose learned, mean"),
        ({"by": "site_id"}, "--by is for --aggregation learned"),
        ({"select": "luck"}, "--select luck: choose one of best, same, joint, last"),
    ],
)
def test_a_wrong_choice_is_one_line(choices: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Choices(**choices)


def test_a_column_that_is_not_there_is_named(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--by hospital: the image table has image_id"):
        collect([trained / "runs/tiny"], tmp_path / "b", choices=Choices(aggregation="learned", by="hospital"))


@pytest.mark.slow
def test_the_report_of_a_training_holds_everything(kept: Path, trained: Path, tmp_path: Path) -> None:
    text = write_report(kept, tmp_path / "report").read_text()
    for title in (
        "Scores",
        "From images to units",
        "Thresholds",
        "By site_id",
        "By machine_id",
        "Calibration",
        "Epochs",
    ):
        assert f"# {title}" in text
    linked = [part.split(")")[0] for part in text.split("](")[1:]]
    assert len(linked) >= 7
    assert all((tmp_path / "report" / path).is_file() for path in linked)
    said = json.loads((tmp_path / "report/thresholds.json").read_text())
    assert said["drawn"] == "patients"
    assert said["groups"] == PreparedSet.open(trained / "prepared").table["group_id"].nunique()
    assert [cut["rule"] for cut in said["cuts"]] == ["best", "p98", "p98.1", "p98.2", "p98.3", "p98.4"]
    rules = [choice["rule"] for choice in json.loads((tmp_path / "report/selection.json").read_text())]
    assert rules == ["best", "same", "joint", "last"]


def test_the_report_of_a_bundle_says_what_it_lacks(bundle: Bundle, tmp_path: Path) -> None:
    text = write_report(bundle.folder, tmp_path / "with").read_text()
    assert f"calls above {bundle.spec.threshold.value:.4g}" in text
    assert "By site_id" in text
    assert "# Epochs" not in text
    (tmp_path / "away").mkdir()
    with pytest.raises(InputError, match="no prepared data set"):
        write_report(bundle.folder, tmp_path / "without", prepared=tmp_path / "away")
