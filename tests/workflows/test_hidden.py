"""A hidden test made of the training patients of a downloaded competition: whole, scored, and not to be learnt from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from rsna.competitions import create_competition
from rsna.errors import InputError
from rsna.local_kaggle.competition_data import check_folder
from rsna.synthetic import BreastOptions, make_breast
from rsna.workflows.hidden import with_hidden_test

BREAST = create_competition("breast")
HIDDEN = 6


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition as it is downloaded: no hidden test, and of one patient not all images."""
    data = tmp_path_factory.mktemp("downloaded") / "breast"
    make_breast(data, BreastOptions(14, 2, scale=0.03, seed=1, positive_rate=0.4))
    shutil.rmtree(data / "hidden")
    (data / BREAST.train_table(data)["path"].iloc[0]).unlink()
    return data


@pytest.fixture(scope="module")
def made(downloaded: Path) -> Path:
    return with_hidden_test(BREAST, downloaded, HIDDEN, downloaded.parent / "made")


def state(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_nobody_is_on_both_sides(made: Path, downloaded: Path) -> None:
    check_folder(made)
    shown, secret = set(BREAST.train_table(made)["group_id"]), set(BREAST.test_table(made / "hidden")["group_id"])
    everybody = set(BREAST.train_table(downloaded)["group_id"])
    incomplete = BREAST.train_table(downloaded)["group_id"].iloc[0]
    assert len(secret) == HIDDEN
    assert not shown & secret
    assert shown | secret == everybody - {incomplete}
    assert {path.parent.name for path in (made / "train_images").rglob("*.dcm")} == shown
    assert {path.parent.name for path in (made / "hidden" / "test_images").rglob("*.dcm")} == secret


@pytest.mark.parametrize(("part", "read"), [("", "train_table"), ("", "test_table"), ("hidden", "test_table")])
def test_every_image_of_a_table_is_there(made: Path, part: str, read: str) -> None:
    table = getattr(BREAST, read)(made / part)
    assert all((made / part / path).is_file() for path in table["path"])


def test_the_hidden_images_are_those_of_the_patients(made: Path, downloaded: Path) -> None:
    for path in BREAST.test_table(made / "hidden")["path"]:
        original = downloaded / path.replace("test_images", "train_images")
        assert (made / "hidden" / path).read_bytes() == original.read_bytes()


def test_the_truth_scores_one_in_both_parts(made: Path, tmp_path: Path) -> None:
    solution = BREAST.read_solution(made / "hidden" / "solution.csv")
    truth = tmp_path / "submission.csv"
    solution.drop(columns="Usage").to_csv(truth, index=False)
    checked = BREAST.check_submission(truth, made / "hidden" / "sample_submission.csv")
    scores = BREAST.score(checked, solution)
    assert (scores["public"], scores["private"]) == (1.0, 1.0)
    labels = BREAST.train_table(made.parent / "breast").groupby("prediction_id")["target_cancer"].max()
    expected = labels[solution["prediction_id"]].to_numpy()
    assert (solution["cancer"].to_numpy() == expected).all()


def test_the_visible_test_is_the_competition_s_own(made: Path, downloaded: Path) -> None:
    for name in ("test.csv", "sample_submission.csv"):
        assert (made / name).read_bytes() == (downloaded / name).read_bytes()
    train = pd.read_csv(made / "train.csv", dtype=str, keep_default_na=False)
    before = pd.read_csv(downloaded / "train.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(train, before[before["image_id"].isin(train["image_id"])].reset_index(drop=True))


def test_again_it_changes_nothing_and_another_number_makes_another(made: Path, downloaded: Path) -> None:
    before = state(made)
    assert with_hidden_test(BREAST, downloaded, HIDDEN, made) == made
    assert state(made) == before
    other = with_hidden_test(BREAST, downloaded, 3, made.parent / "other")
    assert BREAST.test_table(other / "hidden")["group_id"].nunique() == 3
    with_hidden_test(BREAST, downloaded, 4, other)
    assert BREAST.test_table(other / "hidden")["group_id"].nunique() == 4
    assert not list(made.parent.glob(".part-*"))


def test_what_has_a_hidden_test_is_taken_as_it_is(made: Path, tmp_path: Path) -> None:
    assert with_hidden_test(BREAST, made, 3, tmp_path / "out") == made
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("count", [0, 1, 13, 100])
def test_too_few_patients_are_said(downloaded: Path, tmp_path: Path, count: int) -> None:
    with pytest.raises(InputError, match="13 have all their images here"):
        with_hidden_test(BREAST, downloaded, count, tmp_path / "out")
