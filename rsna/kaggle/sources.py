"""What a kernel's run is mounted: checked to exist before the push, since Kaggle drops without a word what does not."""

from __future__ import annotations

import logging
from typing import Any

from rsna.errors import InputError, RsnaError
from rsna.kaggle.client import connect, refusals_as_errors
from rsna.kaggle.credentials import check_unseen
from rsna.kaggle.datasets import dataset_state
from rsna.kaggle.kernels import complete_runs, kernel_state
from rsna.kaggle.settings import Settings

logger = logging.getLogger(__name__)

KEYS = {"dataset": "dataset_sources", "kernel": "kernel_sources", "competition": "competition_sources"}
REMEDIES = {
    "code": "rsna kaggle push-code",
    "prepared": "rsna kaggle run prepare",
    "model": "rsna kaggle push-model BUNDLE",
    "wheels": "rsna kaggle run library",
    "prepare": "rsna kaggle run prepare",
    "library": "rsna kaggle run library",
    "train": "rsna kaggle run train",
}
Source = tuple[str, str]  # kind of the source, and its reference


def settle_sources(metadata: dict[str, Any], settings: Settings, resume: bool = False) -> dict[str, Any]:
    """A kernel's metadata with sources that are there.

    A prepared set is taken from its data set or from the kernel `prepare`, wheels from the kernel `library` or from
    their data set, whichever is there. Training is also given the credentials of the bucket where they were pushed.

    Args:
        metadata: As rendered.
        settings: Whose slugs.
        resume: Mount the kernel's own last output too.

    Raises:
        InputError: Naming every source that is missing, and the command that makes it.
    """
    wanted = [(kind, ref) for kind, key in KEYS.items() for ref in metadata.get(key, [])]
    own = str(metadata["id"])
    if resume:
        wanted.append(("kernel", own))
    if own == settings.kernel("train") and dataset_state(settings.dataset("credentials")):
        check_unseen(metadata)
        wanted.append(("dataset", settings.dataset("credentials")))
    found, problems = [], []
    for source in wanted:
        reasons = {choice: _missing(choice) for choice in (source, *_instead(source, settings))}
        there = [choice for choice, reason in reasons.items() if not reason]
        found += there[:1]
        if not there:
            problems.append(f"{reasons[source]}{_remedy(source, settings)}")
    if problems:
        raise InputError(f"{own} cannot run yet: {'; '.join(problems)}")
    return metadata | {key: [ref for kind, ref in found if KEYS[kind] == key] for key in KEYS.values()}


def _instead(source: Source, settings: Settings) -> list[Source]:
    """Where else the same thing may be found."""
    pairs: list[tuple[Source, Source]] = [
        (("dataset", settings.dataset("prepared")), ("kernel", settings.kernel("prepare"))),
        (("kernel", settings.kernel("library")), ("dataset", settings.dataset("wheels"))),
    ]
    return [other for one, other in pairs if one == source]


def _remedy(source: Source, settings: Settings) -> str:
    """What makes a missing source."""
    names = {settings.dataset(name): name for name in ("code", "prepared", "model", "wheels")}
    names |= {settings.kernel(name): name for name in ("prepare", "library", "train")}
    command = REMEDIES.get(names.get(source[1], ""))
    return f" (run `{command}`)" if command else ""


def _missing(source: Source) -> str:
    """Why a source would not be mounted, or ''."""
    kind, ref = source
    return {"dataset": _missing_dataset, "kernel": _missing_output, "competition": _missing_competition}[kind](ref)


def _missing_dataset(ref: str) -> str:
    state = dataset_state(ref)
    if state is None:
        return f"there is no data set {ref}"
    return "" if state.ready else f"the data set {ref} is {state.status} and would not be mounted"


def _missing_output(ref: str) -> str:
    run, state = next(complete_runs(ref), None), kernel_state(ref)
    if run is None:
        return f"the kernel {ref} has no output yet"
    if state and state.version != run.version:
        logger.warning("%s v%d has not ended well; the output of %s is mounted", ref, state.version, run.label)
    return ""


def _missing_competition(ref: str) -> str:
    try:
        with refusals_as_errors(f"see the files of the competition {ref}"):
            connect().competition_list_files(ref, page_size=1)
    except RsnaError as error:
        return str(error)
    return ""
