"""`rsna data download`: tables, some patients or everything, and never the same file twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkout import COMPETITION, Checkout
from kaggle_lab import Lab

from rsna.competitions import create_competition
from rsna.local_kaggle.competitions import add_competition


@pytest.fixture
def data(checkout: Checkout, lab: Lab, competition: Path) -> Path:
    """Where the downloads go."""
    add_competition(lab.store, COMPETITION, competition, "breast")
    return checkout.root / "data" / "breast"


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_tables_then_patients_then_all_and_nothing_twice(checkout: Checkout, data: Path, competition: Path) -> None:
    assert "3 files downloaded" in checkout.rsna("data", "download", "--tables")
    assert names(data) == {"train.csv", "test.csv", "sample_submission.csv"}
    table = create_competition("breast").train_table(data)
    first = set(table.loc[table["group_id"] == table["group_id"].iloc[0], "path"])
    checkout.rsna("data", "download", "--patients", "1")
    assert {name for name in names(data) if name.startswith("train_images/")} == first
    checkout.rsna("data", "download", "--all")
    everything = {name for name in names(competition) if not name.startswith("hidden/")}
    assert names(data) == {name for name in everything if "/" in name or name in names(data)}
    assert all((data / name).read_bytes() == (competition / name).read_bytes() for name in names(data))
    assert "0 files downloaded" in checkout.rsna("data", "download", "--all")


def test_an_interrupted_download_goes_on_and_leaves_no_half_file(
    checkout: Checkout, lab: Lab, data: Path, competition: Path
) -> None:
    lab.faults.switch_on("http-error", method="DownloadDataFile", status=404, times=1)
    said = checkout.rsna("data", "download", "--tables", status=1)
    assert "404" in said
    assert all((data / name).read_bytes() == (competition / name).read_bytes() for name in names(data))
    lab.faults.switch_on("download-cut", times=1)
    checkout.rsna("data", "download", "--tables")
    assert names(data) == {"train.csv", "test.csv", "sample_submission.csv"}
    assert (data / "train.csv").read_bytes() == (competition / "train.csv").read_bytes()


def test_rules_that_were_not_accepted_are_named(checkout: Checkout, lab: Lab, data: Path) -> None:
    lab.faults.switch_on("rules-not-accepted")
    said = checkout.rsna("data", "download", "--all", status=1)
    assert "Open https://www.kaggle.com/competitions/rsna-breast/rules and accept" in " ".join(said.split())
    assert names(data) == set()


@pytest.mark.parametrize("arguments", [(), ("--tables", "--all"), ("--patients", "2", "--all")])
def test_exactly_one_choice(checkout: Checkout, arguments: tuple[str, ...]) -> None:
    assert "say what to download" in checkout.rsna("data", "download", *arguments, status=2)
