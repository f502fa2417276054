"""The notebook `prepare`: from what is mounted, wherever that is, to shards that make a whole."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest

from rsna.data import PreparedSet
from rsna.errors import InputError
from rsna.preparation.shards import merge_shards
from rsna.workflows import kernel_prepare
from rsna.workflows.kernel_prepare import main

OVERRIDES = ["data=breast_256", "data.imaging.height=96", "data.imaging.width=64", "env.workers=1"]


@pytest.fixture(autouse=True)
def _kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RSNA_DATA", "RSNA_PREPARED", "RSNA_FOLDS", "RSNA_WORKING"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(kernel_prepare, "setup_logging", lambda: None)


@pytest.fixture
def mounts(trained: Path, tmp_path: Path) -> Path:
    """What a kernel sees below its input folder."""
    place = tmp_path / "input/competitions"
    place.mkdir(parents=True)
    (place / "rsna-breast").symlink_to(trained / "data")
    return tmp_path / "input"


def test_shards_of_two_runs_make_the_set_that_one_run_makes(mounts: Path, trained: Path, tmp_path: Path) -> None:
    for index in (1, 2):
        report = main({"overrides": OVERRIDES, "shard": f"{index}/2"}, mounts, tmp_path / f"run{index}")
        assert report.images > 0
    merge_shards([tmp_path / "run1/prepared", tmp_path / "run2/prepared"], tmp_path / "whole")
    merged, whole = PreparedSet.open(tmp_path / "whole"), PreparedSet.open(trained / "prepared")
    pd.testing.assert_frame_equal(merged.table, whole.table.drop(columns="fold"))
    assert merged.spec.hash == whole.spec.hash


def test_images_that_fail_are_named_in_the_log(
    mounts: Path, tmp_path: Path, trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "broken/competitions/rsna-breast"
    place.mkdir(parents=True)
    for entry in (trained / "data").iterdir():
        (place / entry.name).symlink_to(entry)
    (place / "train_images").unlink()
    images = sorted((trained / "data/train_images").rglob("*.dcm"))
    for number, image in enumerate(images):
        copy = place / image.relative_to(trained / "data")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(image.read_bytes()[:200] if number == 0 else image.read_bytes())
    with caplog.at_level(logging.INFO, "rsna"):
        report = main({"overrides": OVERRIDES}, tmp_path / "broken", tmp_path / "out")
    assert len(report.failed) == 1
    assert images[0].name in caplog.text
    assert "1 images FAILED" in caplog.text


def test_without_a_competition_it_says_what_to_look_at(tmp_path: Path) -> None:
    (tmp_path / "rsna-model").mkdir()
    (tmp_path / "rsna-model/sample_submission.csv").write_text("")  # no competition: it has no training table
    with pytest.raises(InputError, match="rules accepted in the browser"):
        main({}, tmp_path, tmp_path / "out")
