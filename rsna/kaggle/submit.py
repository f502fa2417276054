"""From a bundle to a score: run the submit kernel, submit that run, wait, and write down what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rsna.competitions import create_competition
from rsna.config import dump, load
from rsna.errors import InputError, RsnaError
from rsna.inference import Bundle, predict_supervised
from rsna.inference.kernel_submit import SUBMISSION_FILE
from rsna.inference.schema import SPEC_FILE, read_spec
from rsna.io import ensure_dir, read_json, write_json
from rsna.kaggle.client import connect, refusals_as_errors
from rsna.kaggle.code import describe_build, remote_build
from rsna.kaggle.model import push_model, remote_digest
from rsna.kaggle.record import record_scores
from rsna.kaggle.request import SESSION_S, RunRequest
from rsna.kaggle.run import finish_run, start_run
from rsna.kaggle.settings import Settings
from rsna.kaggle.submissions import Submission, submit_file, submit_run, wait_scored

logger = logging.getLogger(__name__)

MADE = Path(".rsna/submissions")  # what was submitted, by number: a score may come hours after we stopped waiting
MODELS = Path("models")


@dataclass(frozen=True)
class Made:
    """A submission that was made.

    Attributes:
        ref: Its number.
        competition: The slug.
        bundle: The folder of the bundle that predicted it.
        file: The submitted file, as it lies here.
        origin: By what it was made, in words.
        message: What a person said of it.
    """

    ref: int
    competition: str
    bundle: str
    file: str
    origin: str
    message: str = ""

    def save(self, folder: Path = MADE) -> None:
        """Remember it."""
        write_json(folder / f"{self.ref}.json", dump(self))

    @classmethod
    def find(cls, ref: int, folder: Path = MADE) -> Made:
        """A submission of this checkout by its number."""
        path = folder / f"{ref}.json"
        if not path.is_file():
            raise InputError(f"the submission {ref} was not made here (there is no {path}); see `rsna submissions`")
        return load(cls, read_json(path), str(path))


@dataclass(frozen=True)
class Order:
    """What to submit, and how.

    Attributes:
        bundle: The folder of the bundle; None for the local one that is on Kaggle.
        message: What Kaggle shows beside the submission, and the logbook too.
        data: The competition's folder, where a file is predicted here.
        push: Push the committed code first, where Kaggle has other code.
        seconds: After which Kaggle ends the kernel's run.
    """

    bundle: Path | None = None
    message: str = ""
    data: Path | None = None
    push: bool = False
    seconds: int = SESSION_S


def submit(settings: Settings, root: Path, order: Order, write: Callable[[str], object]) -> Made:
    """Make a submission in the way that the competition takes it: a run of a notebook, or a file.

    Args:
        settings: Whose, and to which competition.
        root: The project's root.
        order: What and how.
        write: Takes the log of the kernel as it comes.

    Raises:
        InputError: For a wrong bundle or option, and a competition that is scored elsewhere, with what to do.
        RsnaError: Where no submission is left today, the kernel fails, or Kaggle refuses.
    """
    kind = create_competition(settings.name).kind
    if kind == "external":
        raise InputError(
            f"{settings.name} is not scored on Kaggle: make the file with `rsna predict`, hand it in where it is"
            " scored, and write the score down with `rsna log --submission CSV --score VALUE --bundle DIR`"
        )
    bundle = Bundle.open(order.bundle or find_pushed(settings))
    if bundle.spec.competition != settings.name:
        raise InputError(f"{bundle.folder} is for {bundle.spec.competition}, the settings are for {settings.name}")
    message = order.message or f"{bundle.folder.resolve().name} {bundle.spec.digest[:12]}"
    check_allowance(settings.competition)
    make = _submit_run if kind == "code" else _submit_file
    try:
        made = make(settings, root, bundle, order, message, write)
        made.save()
    except KeyboardInterrupt as error:
        raise RsnaError(
            "interrupted; Kaggle may have heard: look at `rsna submissions` before you try again"
        ) from error
    return made


def follow_submission(made: Made, log: Path) -> Submission:
    """Wait for the score, and write it to the MLflow runs of the bundle and to the logbook.

    Raises:
        RsnaError: Where it cannot be scored, with Kaggle's reason, or nobody wants to wait any longer.
    """
    try:
        submission = wait_scored(made.ref)
    except KeyboardInterrupt as error:
        raise RsnaError(
            f"no longer waiting for the submission {made.ref}, which goes on; `rsna submit --ref {made.ref}` takes it"
            " up again"
        ) from error
    record_scores(submission, Path(made.bundle), Path(made.file), made.origin, log, made.message)
    return submission


def find_pushed(settings: Settings, models: Path = MODELS) -> Path:
    """The local bundle that is on Kaggle, so that nothing else is submitted by a slip.

    Raises:
        InputError: Where there is none on Kaggle, or none of the local ones is it.
    """
    digest = remote_digest(settings)
    if not digest:
        raise InputError(f"there is no bundle in {settings.dataset('model')}; say which one with --bundle")
    for folder in sorted(path.parent for path in models.glob(f"*/{SPEC_FILE}")):
        if read_spec(folder).digest == digest:
            return folder
    raise InputError(
        f"the bundle on Kaggle, {digest[:12]}, is none of those in {models}; get it with `rsna kaggle pull-model`, or"
        " say which one to submit with --bundle"
    )


def check_allowance(competition: str) -> None:
    """Raise `RsnaError` where today's submissions are used up: better known before hours of work than after."""
    with refusals_as_errors(f"ask how many submissions to {competition} are left"):
        limits = connect().competition_get_submission_limits(competition)
    if limits.num_allowed_now == 0 and limits.num_today:
        raise RsnaError(
            f"no submission to {competition} is left today ({limits.num_today} were made); the day ends at midnight UTC"
        )


def _submit_run(
    settings: Settings, root: Path, bundle: Bundle, order: Order, message: str, write: Callable[[str], object]
) -> Made:
    push_model(settings, bundle.folder)
    run = start_run(settings, root, RunRequest("submit", bundle=bundle.folder, seconds=order.seconds), order.push)
    write(f"{run.ref} {run.label}: {run.url}\n")
    output = finish_run(run, "submit", write, order.seconds)
    build = remote_build(settings.dataset("code"))
    origin = f"kernel {run.ref} {run.label}{f', code {describe_build(build)}' if build else ''}"
    ref = submit_run(settings.competition, run, SUBMISSION_FILE, message)
    return Made(ref, settings.competition, str(bundle.folder), str(output / SUBMISSION_FILE), origin, order.message)


def _submit_file(
    settings: Settings, root: Path, bundle: Bundle, order: Order, message: str, write: Callable[[str], object]
) -> Made:
    if order.data is None:
        raise InputError(
            f"{settings.name} takes a file, which is predicted here: name the competition's folder (--data)"
        )
    out = ensure_dir(MADE) / f"{bundle.spec.digest[:12]}" / SUBMISSION_FILE
    report = predict_supervised(bundle.folder, order.data, out, digest=bundle.spec.digest)
    write(f"{out}: {report['units']} units from {report['images']} images\n")
    ref = submit_file(settings.competition, out, message)
    return Made(ref, settings.competition, str(bundle.folder), str(out), "a file predicted here", order.message)
