"""Submissions to a competition: made, waited for, listed; every failure with Kaggle's reason and what it means."""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from rsna.errors import RsnaError
from rsna.kaggle.client import connect, patiently, refusals_as_errors, status_of
from rsna.kaggle.logs import KernelRun

PAGE = 100
POLL_S = 2.0
MAX_POLL_S = 60.0
WAIT_S = 12 * 3600.0  # a rerun takes at most 9 hours, and waits for its machine before
PATIENCE_S = 1800.0  # scoring goes on without us
REMEDIES = {
    "Notebook Timeout": "the rerun took too long; `rsna rehearse submit` forecasts it",
    "Notebook Threw Exception": "the rerun failed on the hidden test; a visible run shows the traceback, a rerun never",
    "Notebook Exceeded Allowed Compute": "the rerun ran out of memory or disk; take smaller batches or fewer workers",
    "Submission CSV Not Found": "the rerun wrote no submission.csv",
    "Submission Scoring Error": "the rows, columns or values are not what the competition expects of the hidden test",
}  # what Kaggle says of a rerun is one of few words, since more would tell about the hidden data


@dataclass(frozen=True)
class Submission:
    """One submission, as Kaggle tells it.

    Attributes:
        ref: Its number.
        date: When it was made, UTC.
        file: The name of its file.
        description: What was said with it.
        status: `pending`, `complete` or `error`.
        error: Kaggle's reason, where there is one.
        public: The score on the public part, NaN where there is none (yet).
        private: The score on the private part, which is told when the competition has ended.
    """

    ref: int
    date: datetime | None
    file: str
    description: str
    status: str
    error: str
    public: float
    private: float

    @property
    def scores(self) -> dict[str, float]:
        """The scores that there are, by `public` and `private`."""
        found = {"public": self.public, "private": self.private}
        return {name: value for name, value in found.items() if not math.isnan(value)}


def list_submissions(competition: str) -> Iterator[Submission]:
    """The submissions to a competition, newest first, all pages."""
    from kagglesdk.competitions.types.competition_api_service import ApiListSubmissionsRequest

    request = ApiListSubmissionsRequest()
    request.competition_name, request.page_size = competition, PAGE
    while True:
        with _competitions(f"list the submissions to {competition}") as api:
            page = api.list_submissions(request)
        yield from (_read(submission) for submission in page.submissions or [] if submission)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def get_submission(ref: int) -> Submission:
    """One submission by its number."""
    from kagglesdk.competitions.types.competition_api_service import ApiGetSubmissionRequest

    request = ApiGetSubmissionRequest()
    request.ref = ref
    with _competitions(f"ask for the submission {ref}") as api:
        return _read(api.get_submission(request))


def submit_run(competition: str, run: KernelRun, file: str, message: str) -> int:
    """Submit exactly this version of a notebook; returns the number of the submission.

    Raises:
        RsnaError: Where Kaggle refuses, with its reason and, where the API may not do it, what to click instead.
    """
    what = f"submit {run.ref} {run.label} to {competition}"
    page = run.url or f"https://www.kaggle.com/code/{run.ref}"
    by_hand = f"open {page}, choose version {run.version}, click `Submit to competition` and take {file}"
    with _submitting(competition, what, by_hand):
        answer = connect().competition_submit_code(file, message, competition, run.ref, run.version, quiet=True)
    return _number(answer, what)


def submit_file(competition: str, path: Path, message: str) -> int:
    """Submit a file; returns the number of the submission.

    Raises:
        RsnaError: Where Kaggle refuses or the file does not arrive, with what to click where the API may not do it.
    """
    what = f"submit {path} to {competition}"
    with _submitting(competition, what, f"click `Submit Prediction` there and upload {path}"):
        answer = connect().competition_submit(str(path), message, competition, quiet=True)
    return _number(answer, what)


def wait_scored(ref: int, timeout: float = WAIT_S) -> Submission:
    """Wait until a submission has its score.

    Raises:
        RsnaError: Where it cannot be scored, with Kaggle's reason, or is not in time; it goes on by itself then.
    """
    deadline = time.monotonic() + timeout
    pause = POLL_S
    while True:
        submission = patiently(partial(get_submission, ref), PATIENCE_S)
        if submission.status == "error":
            raise RsnaError(explain(submission))
        if submission.status == "complete":
            return submission
        if time.monotonic() > deadline:
            raise RsnaError(f"the submission {ref} has no score after {timeout:.0f} s; see `rsna submissions` later")
        time.sleep(pause)
        pause = min(pause * 1.2, MAX_POLL_S)


def explain(submission: Submission) -> str:
    """Why a submission failed, in Kaggle's words and ours."""
    reason = submission.error or "Kaggle gives no reason"
    remedy = next((text for category, text in REMEDIES.items() if category in reason), "")
    return f"the submission {submission.ref} was not scored: {reason}{f' ({remedy})' if remedy else ''}"


@contextlib.contextmanager
def _competitions(what: str) -> Iterator[Any]:
    with refusals_as_errors(what), connect().build_kaggle_client() as kaggle:
        yield kaggle.competitions.competition_api_client


@contextlib.contextmanager
def _submitting(competition: str, what: str, by_hand: str) -> Iterator[None]:
    """Refusals as errors, with what to click where it is the API that may not do it."""
    try:
        with refusals_as_errors(what), contextlib.redirect_stdout(io.StringIO()):
            yield
    except RsnaError as error:
        if status_of(error) not in (401, 403, 404):
            raise
        rules = f"https://www.kaggle.com/competitions/{competition}/rules"
        raise RsnaError(f"{error}. By hand: accept the rules on {rules}; {by_hand}") from error


def _number(answer: Any, what: str) -> int:
    """The number of a new submission; an answer without one is a refusal with status 200."""
    ref = int(getattr(answer, "ref", 0) or 0)
    if not ref:
        raise RsnaError(f"Kaggle did not {what}: {getattr(answer, 'message', '') or 'it gives no reason'}")
    return ref


def _read(answer: Any) -> Submission:
    return Submission(
        ref=int(answer.ref),
        date=answer.date,
        file=str(answer.file_name or ""),
        description=str(answer.description or ""),
        status=answer.status.name.lower(),
        error=str(answer.error_description or ""),
        public=_score(answer.public_score),
        private=_score(answer.private_score),
    )


def _score(text: str | None) -> float:
    try:
        return float(text or math.nan)
    except ValueError:
        return math.nan
