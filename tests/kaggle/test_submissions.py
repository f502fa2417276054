"""Submissions: listed whole, waited for, and every failure ends with Kaggle's reason and what it means."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from checkout import COMPETITION, Checkout
from kaggle_lab import Lab
from tiny_model import make_bundle, make_competition

from rsna.errors import InputError
from rsna.kaggle.submissions import REMEDIES, Submission, explain
from rsna.kaggle.submit import Made
from rsna.local_kaggle.competitions import add_competition
from rsna.local_kaggle.scoring import FAILURES, NOT_FOUND, SCORING_ERROR

COLUMNS = "competition, description, file_name, status, error, public, private, created"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition's folder."""
    return make_competition(tmp_path_factory.mktemp("competition") / "data")


@pytest.fixture(autouse=True)
def _competition(lab: Lab, data: Path) -> None:
    """The competition, without the submissions of earlier tests."""
    add_competition(lab.store, COMPETITION, data, "breast")
    lab.store.write("DELETE FROM submissions")


def _put(lab: Lab, status: str, error: str = "", public: float | None = None, private: float | None = None) -> int:
    """Put a submission into the server's memory."""
    values = (COMPETITION, "a try\nof mine", "submission.csv", status, error, public, private, time.time())
    return lab.store.write(f"INSERT INTO submissions ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *values)


def test_all_of_them_are_listed_with_scores_and_reasons(checkout: Checkout, lab: Lab) -> None:
    for _ in range(120):  # more than a page
        _put(lab, "COMPLETE", public=0.25, private=0.5)
    failed, pending = _put(lab, "ERROR", error="Notebook Timeout"), _put(lab, "PENDING")
    lines = checkout.rsna("submissions").splitlines()
    assert len(lines) == 123
    assert lines[1].split()[0] == str(pending)
    assert lines[1].split()[3] == "pending"
    assert f"{failed} " in lines[2]
    assert lines[2].endswith("Notebook Timeout: a try of mine")
    assert lines[3].endswith("complete   0.25000   0.50000  a try of mine")


def test_none_yet(checkout: Checkout) -> None:
    assert checkout.rsna("submissions").splitlines()[-1] == "none yet"


def test_a_competition_that_does_not_exist_is_said(checkout: Checkout, lab: Lab) -> None:
    lab.store.write("DELETE FROM competitions")
    said = checkout.rsna("submissions", status=1)
    assert "404 Competition not found" in said


def test_only_what_was_made_here_can_be_taken_up(checkout: Checkout) -> None:
    assert "was not made here" in checkout.rsna("submit", "--ref", "7", status=2)


@pytest.mark.loop
def test_no_submission_left_is_said_before_anything_is_run(checkout: Checkout, lab: Lab, data: Path) -> None:
    bundle = make_bundle(checkout.root / "models" / "one", data)
    for _ in range(100):
        _put(lab, "COMPLETE", public=0.25)
    said = checkout.rsna("submit", "--bundle", bundle.folder, status=1)
    assert "no submission to rsna-breast is left today (100 were made)" in said
    assert checkout.kernel_versions("rsna-submit") == 0


@pytest.mark.parametrize("category", [*FAILURES.values(), NOT_FOUND, SCORING_ERROR])
def test_every_category_of_kaggle_is_explained(category: str) -> None:
    failed = Submission(7, None, "submission.csv", "", "error", category, float("nan"), float("nan"))
    assert explain(failed) == f"the submission 7 was not scored: {category} ({REMEDIES[category]})"


def test_an_unknown_reason_is_passed_on() -> None:
    for error, said in (("Lost in space", "Lost in space"), ("", "Kaggle gives no reason")):
        failed = Submission(7, None, "submission.csv", "", "error", error, float("nan"), float("nan"))
        assert explain(failed) == f"the submission 7 was not scored: {said}"


def test_scores_are_those_that_there_are() -> None:
    half = Submission(7, None, "submission.csv", "", "complete", "", 0.25, float("nan"))
    assert half.scores == {"public": 0.25}


def test_what_was_made_is_remembered(tmp_path: Path) -> None:
    made = Made(7, COMPETITION, "models/one", "x/submission.csv", "kernel alice/rsna-submit v1", "a try")
    made.save(tmp_path)
    assert Made.find(7, tmp_path) == made
    with pytest.raises(InputError, match="rsna submissions"):
        Made.find(8, tmp_path)
