"""Evaluation, thresholds, submissions and scores of the breast competition."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.cli import app as program
from rsna.competitions import create_competition
from rsna.errors import InputError
from rsna.tables import write_csv

BREAST = create_competition("breast")


def predictions(cancer: tuple[float, ...] = (1, 1, 0, 0, 0, 0)) -> pd.DataFrame:
    """Three breasts of two images each; per image the ranking has a flaw, the mean per breast has none."""
    return pd.DataFrame(
        {
            "image_id": list("abcdef"),
            "prediction_id": ["p_L", "p_L", "p_R", "p_R", "q_L", "q_L"],
            "pred_cancer": np.float32([0.9, 0.3, 0.4, 0.2, 0.1, 0.1]),
            "target_cancer": np.float32(cancer),
        }
    )


def test_evaluation_of_images_and_breasts() -> None:
    metrics = BREAST.evaluate(predictions(), "mean", threshold=0.65)
    assert metrics["image/auc"] == pytest.approx(7 / 8)
    assert metrics["unit/auc"] == metrics["unit/ap"] == metrics[BREAST.monitor] == 1
    assert metrics["unit/threshold"] == pytest.approx(0.45)
    assert (metrics["unit/best_f1"], metrics["unit/f1"]) == (1, 0)
    assert metrics["unit/pf1"] == pytest.approx(2 * 0.6 / (1 + 0.6 + 0.3 + 0.1))
    assert metrics["image/pf1"] == pytest.approx(2 * 1.2 / (2 + 2.0))


def test_the_aggregation_matters() -> None:
    assert BREAST.evaluate(predictions(), "min")["unit/pf1"] == pytest.approx(2 * 0.3 / (1 + 0.6))


def test_a_positive_free_fold_evaluates_to_nan_and_fits_no_threshold() -> None:
    negative = predictions((0, 0, 0, 0, 0, 0))
    assert math.isnan(BREAST.evaluate(negative, "mean")[BREAST.monitor])
    with pytest.raises(InputError, match=r"no positive.*add folds"):
        BREAST.fit_threshold(negative, "mean")


def test_the_fitted_threshold_makes_the_submission_that_scores_its_f1() -> None:
    threshold = BREAST.fit_threshold(predictions(), "mean")
    submission = BREAST.submission(predictions(), "mean", threshold.value)
    assert submission.to_dict("list") == {"prediction_id": ["p_L", "p_R", "q_L"], "cancer": [1, 0, 0]}
    solution = pd.DataFrame({"prediction_id": ["p_L", "p_R", "q_L"], "cancer": [1.0, 0, 0]})
    assert BREAST.score(submission, solution)["score"] == threshold.score == 1


def test_a_submission_of_probabilities() -> None:
    submission = BREAST.submission(predictions(), "max", None)
    assert submission["cancer"].to_list() == pytest.approx([0.9, 0.4, 0.1])


def test_a_breast_without_prediction_is_no_submission() -> None:
    lost = predictions().assign(pred_cancer=[0.9, 0.3, np.nan, np.nan, np.nan, 0.1])
    with pytest.raises(InputError, match="1 units have no prediction, the first is 'p_R'"):
        BREAST.submission(lost, "mean", 0.5)


SOLUTION = pd.DataFrame(
    {
        "prediction_id": ["p_L", "p_R", "q_L", "q_R"],
        "cancer": [1, 0, 0, 1],
        "Usage": ["Public", "Public", "Private", "Private"],
    }
)


def submission_file(folder: Path, cancer: list[float]) -> Path:
    path = folder / "submission.csv"
    write_csv(path, pd.DataFrame({"prediction_id": ["q_R", "q_L", "p_R", "p_L"], "cancer": cancer}))
    return path


def test_public_and_private_scores_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    submission = BREAST.check_submission(submission_file(tmp_path, [0, 1, 0, 1]), SOLUTION)
    scores = BREAST.score(submission, SOLUTION)
    assert (scores["score"], scores["public"], scores["private"]) == (0.5, 1.0, 0.0)
    assert (scores["precision"], scores["recall"]) == (0.5, 0.5)
    assert "public" not in BREAST.score(submission, SOLUTION.drop(columns="Usage"))


def test_a_submission_for_other_breasts_is_not_scored() -> None:
    with pytest.raises(InputError, match="'z_L' is not in the sample"):
        BREAST.score(pd.DataFrame({"prediction_id": ["z_L"], "cancer": [1]}), SOLUTION)


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        program.main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    solution, submission = tmp_path / "solution.csv", submission_file(tmp_path, [0, 1, 0, 1])
    write_csv(solution, SOLUTION)
    assert run("score", "--submission", submission, "--solution", solution) == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "score        0.5000",
        "public       1.0000",
        "private      0.0000",
    ]
    sample = tmp_path / "sample_submission.csv"
    write_csv(sample, SOLUTION[["prediction_id", "cancer"]])
    assert run("check-submission", submission, "--sample", sample) == 0
    assert capsys.readouterr().out.strip().endswith("is valid: 4 rows, cancer from 0 to 1, mean 0.5")
    submission_file(tmp_path, [0, 1, 0, 7])
    assert run("check-submission", submission, "--sample", sample) == 2
    assert capsys.readouterr().err.splitlines() == [f"rsna: {submission}, row 5, column cancer: '7' is outside [0, 1]"]
