"""The bundle as a data set: verified before it goes, after it went, and when it comes; never twice, never half."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from checkout import Checkout
from kaggle_lab import Lab
from tiny_model import make_bundle, make_competition

from rsna.inference import Bundle

FILES = ["bundle.json", "config.yaml", "fold_0.safetensors", "fold_1.safetensors", "oof.parquet"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two bundles."""
    root = tmp_path_factory.mktemp("models")
    data = make_competition(root / "data")
    for seed, name in enumerate(("one", "two")):
        make_bundle(root / name, data, seed)
    return root / "one", root / "two"


@pytest.fixture
def bundles(made: tuple[Path, Path], tmp_path: Path, lab: Lab) -> tuple[Path, Path]:
    """Copies of them, and nothing on Kaggle yet."""
    lab.store.write("DELETE FROM datasets")
    one, two = (Path(shutil.copytree(path, tmp_path / path.name)) for path in made)
    return one, two


@pytest.mark.loop
def test_a_bundle_goes_and_comes_back_whole(checkout: Checkout, bundles: tuple[Path, Path], lab: Lab) -> None:
    one, _ = bundles
    (one / "notes.txt").write_text("mine")  # does not belong to the bundle, and stays here
    digest = Bundle.open(one).spec.digest
    assert f"version 1: digest {digest}; pushed" in checkout.rsna("kaggle", "push-model", one)
    assert sorted(lab.file_names("rsna-model")) == FILES
    assert not (one / "dataset-metadata.json").exists()
    assert "nothing pushed" in checkout.rsna("kaggle", "push-model", one)
    assert f"models/kaggle is whole: {digest}" in checkout.rsna("kaggle", "pull-model")
    assert Bundle.open(checkout.root / "models" / "kaggle").spec.digest == digest
    assert "is whole" in checkout.rsna("kaggle", "pull-model")  # nothing to do


@pytest.mark.loop
def test_pulling_never_replaces_something_else(checkout: Checkout, bundles: tuple[Path, Path]) -> None:
    one, two = bundles
    checkout.rsna("kaggle", "push-model", one)
    said = checkout.rsna("kaggle", "pull-model", "--out", two, status=2)
    assert "already holds something else" in said
    assert sorted(path.name for path in two.parent.iterdir() if path.name.startswith(".part-")) == []


@pytest.mark.loop
def test_a_new_version_takes_the_place_of_the_old_one(checkout: Checkout, bundles: tuple[Path, Path], lab: Lab) -> None:
    for version, bundle in enumerate(bundles, 1):
        assert f"version {version}: " in checkout.rsna("kaggle", "push-model", bundle)
    assert sorted(lab.file_names("rsna-model")) == FILES
    out = checkout.root / "models" / "pulled"
    checkout.rsna("kaggle", "pull-model", "--out", out)
    assert Bundle.open(out).spec.digest == Bundle.open(bundles[1]).spec.digest


def test_what_is_no_sound_bundle_does_not_go(checkout: Checkout, bundles: tuple[Path, Path], lab: Lab) -> None:
    one, _ = bundles
    (one / "oof.parquet").write_bytes(b"half of it")
    assert "has the checksum" in checkout.rsna("kaggle", "push-model", one, status=2)
    assert lab.post("GetDatasetStatus", {"ownerSlug": "alice", "datasetSlug": "rsna-model"}).status_code != 200


FAULTS = [
    ("create-refused", {"message": "The slug is taken"}, "The slug is taken"),
    ("upload-refused", {}, "alice/rsna-model"),
    ("dataset-failed", {}, "could not process alice/rsna-model"),
    (
        "http-error",
        {"method": "CreateDataset", "status": 403, "body": "nested", "message": "phone first"},
        "phone first",
    ),
]


@pytest.mark.loop
@pytest.mark.parametrize(("fault", "parameters", "reason"), FAULTS, ids=[fault for fault, *_ in FAULTS])
def test_what_goes_wrong_at_kaggle_is_said(
    checkout: Checkout, bundles: tuple[Path, Path], lab: Lab, fault: str, parameters: dict, reason: str
) -> None:
    lab.faults.switch_on(fault, **parameters)
    assert reason in checkout.rsna("kaggle", "push-model", bundles[0], status=1)


def test_nothing_to_pull_is_said(checkout: Checkout, lab: Lab) -> None:
    lab.store.write("DELETE FROM datasets")
    assert "push a bundle with `rsna kaggle push-model`" in checkout.rsna("kaggle", "pull-model", status=1)


def test_a_poisoned_model_is_refused(checkout: Checkout, bundles: tuple[Path, Path], lab: Lab) -> None:
    one, _ = bundles
    files = {path.name: path.read_bytes() for path in one.iterdir()}
    files["fold_0.safetensors"] += b"and more"
    lab.create_dataset("rsna-model", files)
    assert "has the checksum" in checkout.rsna("kaggle", "pull-model", status=2)
    assert not (checkout.root / "models" / "kaggle").exists()
