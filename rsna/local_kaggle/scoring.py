"""Scoring a submission, and Kaggle's words for why it could not be scored."""

from __future__ import annotations

import json
import logging
import math
import sqlite3
from pathlib import Path
from typing import Any

from rsna.competitions import create_competition
from rsna.errors import RsnaError
from rsna.local_kaggle.competition_data import HIDDEN, SOLUTION
from rsna.local_kaggle.context import Context
from rsna.local_kaggle.execution import Outcome

logger = logging.getLogger(__name__)

# What a participant is told of a code submission: never more, since the reason would tell about the hidden data.
FAILURES: dict[Outcome, str] = {
    "timeout": "Notebook Timeout",
    "error": "Notebook Threw Exception",
    "out-of-memory": "Notebook Exceeded Allowed Compute",
    "out-of-disk": "Notebook Exceeded Allowed Compute",
}
NOT_FOUND = "Submission CSV Not Found"
SCORING_ERROR = "Submission Scoring Error"


class Scoring:
    """Gives submissions their scores. The true reason of a failure is kept beside Kaggle's word for it."""

    def __init__(self, context: Context) -> None:
        self.store = context.store
        self.blobs = context.blobs

    def resume(self) -> None:
        """Score what a stop of the server has left between its end and its score."""
        for row in self.store.rows("SELECT id, upload FROM submissions WHERE status = 'PENDING'"):
            if row["upload"]:
                self.score_upload(row["id"])
            query = "SELECT * FROM sessions WHERE submission = ? AND outcome != ''"
            if session := self.store.row(query, row["id"]):
                self.end_session(session)

    def end_session(self, session: sqlite3.Row) -> None:
        """Score a submission whose rerun has ended; other sessions are none of it."""
        submission = self._find(session["submission"])
        if submission is None:
            return
        if session["outcome"] != "complete":
            self._fail(submission, FAILURES.get(session["outcome"], FAILURES["error"]), session["reason"])
            return
        path = self.store.working_folder(session["id"]) / submission["file_name"]
        if path.is_file():
            self._score(submission, path, SCORING_ERROR)
        else:
            self._fail(submission, NOT_FOUND, f"the rerun has left no {submission['file_name']}")

    def score_upload(self, submission: int) -> None:
        """Score a submission that is an uploaded file. Here the participant is told what is wrong with it."""
        row = self._find(submission)
        if row is not None:
            self._score(row, self.blobs.find(row["upload"]).path, "")

    def _score(self, submission: sqlite3.Row, path: Path, category: str) -> None:
        query = "SELECT folder, competition FROM competitions WHERE name = ?"
        row = self.store.row(query, submission["competition"])
        try:
            if row is None:
                raise RsnaError(f"the competition {submission['competition']} has been removed")
            scores = _scores(row["competition"], Path(row["folder"]) / HIDDEN, path)
        except RsnaError as error:
            self._fail(submission, category or str(error), str(error))
            return
        except Exception as error:  # whatever a file may hold, it must not stay pending for ever
            logger.exception("scoring submission %d", submission["id"])
            self._fail(submission, category or SCORING_ERROR, f"{type(error).__name__}: {error}")
            return
        statement = "UPDATE submissions SET status = 'COMPLETE', public = ?, private = ?, detail = ? WHERE id = ?"
        values = (scores.get("public", scores["score"]), scores.get("private", scores["score"]), json.dumps(scores))
        self.store.write(statement, *values, submission["id"])

    def _fail(self, submission: sqlite3.Row, error: str, detail: str) -> None:
        logger.info("submission %d: %s (%s)", submission["id"], error, detail)
        statement = "UPDATE submissions SET status = 'ERROR', error = ?, detail = ? WHERE id = ?"
        self.store.write(statement, error, detail, submission["id"])

    def _find(self, submission: int | None) -> sqlite3.Row | None:
        return self.store.row("SELECT * FROM submissions WHERE id = ?", submission)


def _scores(name: str, hidden: Path, path: Path) -> dict[str, Any]:
    """Check a submission against the hidden sample as strictly as Kaggle, and score it against the solution."""
    competition = create_competition(name)
    table = competition.check_submission(path, hidden / "sample_submission.csv")
    scores = competition.score(table, competition.read_solution(hidden / SOLUTION))
    return {key: value for key, value in scores.items() if math.isfinite(value)}
