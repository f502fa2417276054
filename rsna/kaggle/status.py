"""`rsna status`: where this checkout and Kaggle stand, one line each; a line whose call fails says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rsna.errors import RsnaError
from rsna.kaggle.client import connect, refusals_as_errors
from rsna.kaggle.code import describe_build, remote_build
from rsna.kaggle.datasets import dataset_state
from rsna.kaggle.kernels import kernel_state, kernel_url, run_status
from rsna.kaggle.logs import KernelRun
from rsna.kaggle.metadata import KINDS
from rsna.kaggle.parallel import in_parallel
from rsna.kaggle.settings import Settings
from rsna.kaggle.snapshot import take_snapshot, uncommitted


def status_lines(settings: Settings, root: Path) -> Iterator[tuple[str, str]]:
    """Name and text of every line, as they come in; nothing raises but a missing client or credentials."""
    questions: dict[str, Callable[[], str]] = {
        "HEAD": partial(_head, root),
        "code": partial(_code, settings, root),
        "bundle": partial(_bundle, settings),
        **{kind: partial(_kernel, settings.kernel(kind)) for kind in KINDS},
        "GPU": _gpu,
        "submissions": partial(_submissions, settings.competition),
    }
    yield from zip(questions, in_parallel(_answer, questions.values()), strict=True)


def _answer(question: Callable[[], str]) -> str:
    try:
        return question()
    except RsnaError as error:
        return f"unknown: {error}"


def _head(root: Path) -> str:
    snapshot = take_snapshot(root)
    changes = ", with uncommitted changes" if uncommitted(root) else ""
    return f"{snapshot.commit[:12]}, content {snapshot.content_hash[:12]}{changes}"


def _code(settings: Settings, root: Path) -> str:
    ref = settings.dataset("code")
    build, state = remote_build(ref), dataset_state(ref)
    if build is None or state is None:
        return f"not on Kaggle ({ref}); `rsna kaggle push-code`"
    same = build["content_hash"] == take_snapshot(root).content_hash
    verdict = "the same as HEAD" if same else "NOT the code of HEAD; `rsna kaggle push-code`"
    return f"{ref} v{state.version} {state.status}: {describe_build(build)}: {verdict}"


def _bundle(settings: Settings) -> str:
    from rsna.kaggle.model import remote_digest  # with pandas, for which the other lines need not wait

    ref = settings.dataset("model")
    digest, state = remote_digest(settings), dataset_state(ref)
    if not digest or state is None:
        return f"not on Kaggle ({ref})"
    return f"{ref} v{state.version} {state.status}: digest {digest[:12]}"


def _kernel(ref: str) -> str:
    state = kernel_state(ref)
    if state is None:
        return f"never run ({ref})"
    status, reason = run_status(KernelRun(ref, state.version, kernel_url(ref)))
    when = f", {state.last_run:%Y-%m-%d %H:%M} UTC" if state.last_run else ""
    return f"{ref} v{state.version} {status}{when}{f': {reason}' if reason else ''}"


def _gpu() -> str:
    with refusals_as_errors("ask for the GPU quota"):
        answer = connect().quota_view()
    used, allowed = (
        time.total_seconds() / 3600 for time in (answer.gpu_quota.time_used, answer.gpu_quota.total_time_allowed)
    )
    until = f", renewed {answer.quota_refresh_time:%Y-%m-%d %H:%M} UTC" if answer.quota_refresh_time else ""
    return f"{max(0.0, allowed - used):.1f} of {allowed:.0f} hours left{until}"


def _submissions(competition: str) -> str:
    with refusals_as_errors(f"ask for the submissions left in {competition}"):
        limits = connect().competition_get_submission_limits(competition)
    return f"{limits.num_allowed_now} left today ({limits.num_today} made)"
