"""External sets: in the training side of every fold, never in validation; pseudo-labels that do not leak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rsna.cli.app import main
from rsna.competitions import Threshold
from rsna.config import ImagingSpec, RoiSpec
from rsna.config.training import TrainConfig
from rsna.data import PreparedSet, PreparedSpec
from rsna.errors import InputError
from rsna.imaging import write_png
from rsna.inference import Bundle, BundleSpec, Member, prediction_table, write_bundle
from rsna.models import create_model, save_weights
from rsna.preparation.label import predict_prepared
from rsna.tables import write_parquet
from rsna.training import split as split_module
from rsna.training.loaders import FoldData
from rsna.training.run import train
from rsna.training.split import Split, list_folds, load_split

MakeConfig = Callable[..., TrainConfig]
SIZE = ImagingSpec(height=64, width=32)
UNKNOWN = 2  # of the six patients, how many have no target


def write_external(
    folder: Path, origin: str = "vindr", imaging: ImagingSpec = SIZE, competition: str = "breast"
) -> Path:
    """Six patients with one picture of each breast; the left one of the first is positive, the last two are unknown."""
    rows = []
    for patient in range(6):
        for side in "LR":
            image = f"{origin}:{patient}{side}"
            path = f"images/p{patient}/{patient}{side}.png"
            write_png(folder / path, np.full((64, 32), 40 * patient + (side == "R"), np.uint8))
            target = np.nan if patient >= 6 - UNKNOWN else float(patient == 0 and side == "L")
            rows.append((image, f"{origin}:p{patient}", f"{origin}:p{patient}_{side}", path, target, "extra"))
    names = ["image_id", "group_id", "prediction_id", "path", "target_cancer", "note"]
    table = pd.DataFrame(rows, columns=names).astype({"target_cancer": np.float32})
    PreparedSpec(competition, imaging, len(table), "1" * 64, origin=origin).write(folder)
    write_parquet(folder / "table.parquet", table)
    return folder


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """An external set of twelve images, four of them without a target."""
    return write_external(tmp_path / "vindr")


def read_all(split: Split, table: pd.DataFrame) -> list[np.ndarray]:
    return [split.prepared.read(path) for path in table["path"]]


def test_external_images_join_the_training_side_of_every_fold(
    make_config: MakeConfig, external: Path, prepared: Path
) -> None:
    plain, config = make_config(), make_config(f"external.sets=[{external}]")
    for fold in list_folds(config):
        before, split = load_split(plain, fold), load_split(config, fold)
        assert split.validation["image_id"].tolist() == before.validation["image_id"].tolist()
        own, added = split.train.iloc[: len(before.train)], split.train.iloc[len(before.train) :]
        assert own["image_id"].tolist() == before.train["image_id"].tolist()
        assert own["source"].eq("breast").all()
        assert added["source"].eq("vindr").all()
        assert added["fold"].eq(-1).all()
        assert added["target_cancer"].tolist() == [1, *[0] * 7]  # those without a target are left out
        assert "note" not in added
        for pictures, table in (
            (read_all(split, split.validation), before.validation),
            (read_all(split, own), before.train),
        ):
            expected = [before.prepared.read(path) for path in table["path"]]
            np.testing.assert_array_equal(pictures, expected)
        assert [int(picture[0, 0]) for picture in read_all(split, added)] == [0, 1, 40, 41, 80, 81, 120, 121]


def test_training_reads_them_and_validation_does_not(make_config: MakeConfig, external: Path) -> None:
    config = make_config(f"external.sets=[{external}]", "sampler=balanced")
    split = load_split(config, 0)
    data = FoldData(config, split)
    assert split.positive(split.train).sum() == 5
    rows = split.train.iloc[data.plan.rows]
    assert rows["image_id"].str.startswith("vindr:").any()
    assert len(data.val_dataloader().dataset) == 12  # type: ignore[arg-type]


def test_external_images_alone(make_config: MakeConfig, external: Path) -> None:
    split = load_split(make_config(f"external.sets=[{external}]", "external.mode=alone"), 1)
    assert split.train["source"].eq("vindr").all()
    assert len(split.validation) == 12


def test_two_sets_and_a_limit(make_config: MakeConfig, external: Path, tmp_path: Path) -> None:
    other = write_external(tmp_path / "deeper/below/cmmd", "cmmd")
    config = make_config(f"external.sets=[{external},{other}]")
    assert load_split(config, 0).train["source"].value_counts().to_dict() == {"breast": 24, "vindr": 8, "cmmd": 8}
    assert len(load_split(replace(config, limit=6), 0).train) == 6


@pytest.mark.slow
@pytest.mark.usefixtures("without_plots")
def test_a_training_with_external_images(make_config: MakeConfig, external: Path) -> None:
    config = make_config(f"external.sets=[{external}]", "name=mixed")
    metrics = train(config)
    oof = pd.read_parquet(Path(config.env.runs) / "mixed/fold_0/oof.parquet")
    assert len(oof) == 12
    assert not oof["image_id"].str.contains(":").any()
    assert np.isfinite(metrics["unit/mean_auc"])


def test_an_external_set_is_never_validated_on(make_config: MakeConfig, external: Path) -> None:
    folds = pd.read_parquet(external / "table.parquet")[["image_id"]]
    folds.assign(fold=[int(name[6]) % 3 for name in folds["image_id"]]).to_csv(external / "folds.csv", index=False)
    config = make_config()
    config = replace(config, env=replace(config.env, prepared=str(external)))
    with pytest.raises(InputError, match=r"is an external set \(vindr\), which is never validated on"):
        load_split(config, 0)
    with pytest.raises(InputError, match="never validated on"):
        list_folds(config)


def test_an_external_image_in_validation_stops_the_split(make_config: MakeConfig, external: Path) -> None:
    split = load_split(make_config(f"external.sets=[{external}]"), 0)
    added = split.train[split.train["source"] == "vindr"]
    smuggled = replace(split.prepared, table=split.validation.assign(fold=-1))
    with pytest.raises(InputError, match="an external image is in the validation side"):
        split_module._mixed(smuggled, added, pd.Series(True, index=split.validation.index), "alone")


def test_the_competitions_own_set_is_no_external_one(make_config: MakeConfig, prepared: Path) -> None:
    with pytest.raises(InputError, match="breast's own images"):
        load_split(make_config(f"external.sets=[{prepared}]"), 0)


def test_images_of_validation_patients_under_another_name_are_refused(make_config: MakeConfig, external: Path) -> None:
    table = pd.read_parquet(external / "table.parquet")
    write_parquet(external / "table.parquet", table.assign(group_id=table["group_id"].str.removeprefix("vindr:")))
    with pytest.raises(InputError, match="patient or group 'p0' is in training and in validation"):
        load_split(make_config(f"external.sets=[{external}]"), 0)


def test_sets_that_do_not_fit_are_refused(make_config: MakeConfig, external: Path, tmp_path: Path) -> None:
    cropped = write_external(tmp_path / "cropped", "cmmd", replace(SIZE, roi=RoiSpec("otsu")))
    with pytest.raises(InputError, match=r"data\.imaging\.roi\.method: 'otsu' != 'threshold'"):
        load_split(make_config(f"external.sets=[{cropped}]"), 0)
    foreign = write_external(tmp_path / "foreign", "cmmd", competition="head")
    with pytest.raises(InputError, match="has the columns of head, not of breast"):
        load_split(make_config(f"external.sets=[{foreign}]"), 0)
    again = write_external(tmp_path / "again")
    with pytest.raises(InputError, match="'vindr:0L' is in two of the sets"):
        load_split(make_config(f"external.sets=[{external},{again}]"), 0)
    with pytest.raises(InputError, match="is no prepared data set"):
        load_split(make_config(f"external.sets=[{tmp_path}/nothing]"), 0)


@pytest.mark.parametrize("override", ["external.mode=alone", "external.pseudo_labels=labels.csv"])
def test_options_without_sets_are_refused(make_config: MakeConfig, override: str) -> None:
    with pytest.raises(InputError, match=r"need external\.sets"):
        make_config(override)


# Pseudo-labels


def predictions(**columns: object) -> pd.DataFrame:
    """What two models say of the external images: 0.2 and 0.6."""
    images = [f"vindr:{patient}{side}" for patient in range(6) for side in "LR"]
    parts = [
        pd.DataFrame({"image_id": images, "model_fold": fold, "row_fold": -1, "tta": -1, "pred_cancer": value})
        for fold, value in ((0, 0.2), (1, 0.6))
    ]
    return pd.concat(parts, ignore_index=True).astype({"pred_cancer": np.float32}).assign(**columns)


@pytest.fixture
def label(make_config: MakeConfig, external: Path, tmp_path: Path) -> Callable[..., pd.Series]:
    """The targets of the external images in a fold's training side, by image id, given a table of predictions."""

    def targets(table: pd.DataFrame, fold: int = 0, *overrides: str, suffix: str = "parquet") -> pd.Series:
        path = tmp_path / f"predictions.{suffix}"
        write_parquet(path, table) if suffix == "parquet" else table.to_csv(path, index=False)
        config = make_config(f"external.sets=[{external}]", f"external.pseudo_labels={path}", *overrides)
        train = load_split(config, fold).train
        return train[train["source"] == "vindr"].set_index("image_id")["target_cancer"]

    return targets


def test_only_the_model_that_has_not_seen_the_fold_labels_its_training(label: Callable[..., pd.Series]) -> None:
    for fold, value in ((0, 0.2), (1, 0.6)):
        targets = label(predictions(), fold)
        assert len(targets) == 12
        assert targets["vindr:0L"] == 1  # the truth is kept
        assert targets[["vindr:4L", "vindr:5R"]].tolist() == [np.float32(value)] * 2
    with pytest.raises(
        InputError, match=r"models of the fold\(s\) 0, 1, which have learnt from the patients of fold 2"
    ):
        label(predictions(), 2)


def test_pseudo_labels_of_all_images(label: Callable[..., pd.Series]) -> None:
    assert label(predictions(), 0, "external.relabel=all").eq(np.float32(0.2)).all()


def test_a_table_that_does_not_say_who_made_it_is_taken_with_a_warning(
    label: Callable[..., pd.Series], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", logger="rsna"):
        targets = label(predictions()[["image_id", "pred_cancer"]], 2, suffix="csv")
    assert targets["vindr:4L"] == np.float32(0.4)
    assert "does not say which models made it" in caplog.text


def test_ids_without_the_prefix_of_their_source(label: Callable[..., pd.Series]) -> None:
    table = predictions()
    table["image_id"] = table["image_id"].str.removeprefix("vindr:")
    assert label(table)["vindr:4L"] == np.float32(0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="pred_cancer"), "lacks pred_cancer"),
        (lambda table: table.assign(pred_cancer=1.5), "pseudo-labels are probabilities"),
        (lambda table: table.assign(pred_cancer=np.nan), "pseudo-labels are probabilities"),
        (lambda table: table.assign(image_id="x" + table["image_id"]), "labels none of the 12 external images"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(
    label: Callable[..., pd.Series], change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        label(change(predictions()))


@pytest.fixture
def bundle(make_config: MakeConfig, prepared: Path, tmp_path: Path) -> Path:
    """Two members with random weights, of the folds 0 and 1."""
    config = make_config("model.backbone=test_resnet", "model.pretrained=false")
    members, files = [], []
    for fold in (0, 1):
        torch.manual_seed(fold)
        files.append(tmp_path / f"weights_{fold}.safetensors")
        save_weights(create_model(config.model, config.data.input, 1), files[-1])
        members.append(Member(f"fold_{fold}.safetensors", "", fold, 0, 0.5))
    table = load_split(config, 0).validation
    oof = prediction_table(table, np.full((len(table), 1, 1), 0.5, np.float32), members[:1], ["cancer"])
    spec = BundleSpec(
        "breast", "mean", Threshold(0.5, 0.4, 0.6, 0.7), tuple(members), ("none",), {"cancer": {"overall": 0.1}}
    )
    return write_bundle(tmp_path / "bundle", spec, config, oof, files).folder


def test_a_bundle_labels_a_prepared_set(make_config: MakeConfig, bundle: Path, external: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.parquet"
    places = ["--bundle", str(bundle), "--prepared", str(external), "--out", str(out)]
    with pytest.raises(SystemExit, match="0"):
        main(["data", "label", *places, "--device", "cpu", "--batch-size", "4"])
    table = pd.read_parquet(out)
    assert table.groupby("model_fold")["image_id"].nunique().to_dict() == {0: 12, 1: 12}
    said = table[table["model_fold"] == 1].set_index("image_id")["pred_cancer"]
    train = load_split(make_config(f"external.sets=[{external}]", f"external.pseudo_labels={out}"), 1).train
    assert train.set_index("image_id")["target_cancer"]["vindr:5L"] == said["vindr:5L"]


def test_pictures_that_the_bundle_would_not_make_are_not_labelled(bundle: Path, tmp_path: Path) -> None:
    other = write_external(tmp_path / "other", imaging=replace(SIZE, bits=16))
    with pytest.raises(InputError, match=r"data\.imaging\.bits: 16 != 8"):
        predict_prepared(Bundle.open(bundle), PreparedSet.open(other))


def test_a_set_without_any_target_needs_labels(make_config: MakeConfig, external: Path) -> None:
    table = pd.read_parquet(external / "table.parquet")
    write_parquet(external / "table.parquet", table.assign(target_cancer=np.float32(np.nan)))
    with pytest.raises(InputError, match=r"no image of external\.sets has a target"):
        load_split(make_config(f"external.sets=[{external}]"), 0)
