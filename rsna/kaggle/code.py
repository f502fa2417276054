"""The package as the data set `<user>/rsna-code`: pushed when its content changes, and only then."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rsna.errors import InputError, RsnaError
from rsna.kaggle.datasets import dataset_state, file_problems, file_sizes, push_dataset, read_remote_file, verify_files
from rsna.kaggle.parallel import in_parallel
from rsna.kaggle.settings import Settings
from rsna.kaggle.snapshot import DIFF_FILE, Snapshot, take_snapshot, uncommitted
from rsna.kernel.bootstrap import BUILD_FILE

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PushedCode:
    """What a push of the code came to.

    Attributes:
        ref: `owner/slug`.
        version: Of the data set.
        build: The `_build.json` that is there now.
        pushed: Whether a new version was made.
    """

    ref: str
    version: int
    build: dict[str, Any]
    pushed: bool


def remote_build(ref: str) -> dict[str, Any] | None:
    """The `_build.json` of a code data set on Kaggle, None without one: the remote decides, never a note kept here."""
    content = read_remote_file(ref, BUILD_FILE)
    try:
        build = json.loads(content) if content else None
    except ValueError:
        return None  # somebody else's file under our name: push over it
    return build if isinstance(build, dict) and {"commit", "dirty", "content_hash"} <= set(build) else None


def push_code(settings: Settings, root: Path, dirty: bool = False) -> PushedCode:
    """Push a snapshot of the code, unless the same content is already there and ready.

    Args:
        settings: Whose data set.
        root: The project's root.
        dirty: Push the working tree instead of the commit, marked, with its difference.

    Raises:
        InputError: For what must not be pushed.
        RsnaError: Where Kaggle refuses, or has something else afterwards.
    """
    snapshot = take_snapshot(root, dirty)
    if not dirty and uncommitted(root):
        logger.warning("uncommitted changes stay here: the last commit is pushed (--dirty pushes the working tree)")
    ref = settings.dataset("code")
    there = remote_build(ref)
    version = _whole_version(ref, snapshot) if there and there["content_hash"] == snapshot.content_hash else 0
    return PushedCode(ref, version, there, pushed=False) if there and version else _push(settings, snapshot)


def _whole_version(ref: str, snapshot: Snapshot) -> int:
    """The version that is ready and has all files of a snapshot; 0 where it has not, or another one is on its way."""
    questions: list[Callable[[], Any]] = [partial(dataset_state, ref), partial(file_problems, ref, snapshot.sizes)]
    state, problems = in_parallel(lambda ask: ask(), questions)
    return state.version if state and state.ready and not problems else 0


def _push(settings: Settings, snapshot: Snapshot) -> PushedCode:
    ref = settings.dataset("code")
    with tempfile.TemporaryDirectory(prefix="rsna-code-") as name:
        folder = Path(name)
        snapshot.write(folder)
        notes = f"{snapshot.commit[:12]}{' dirty' if snapshot.dirty else ''} {snapshot.content_hash[:12]}"
        version = push_dataset(ref, settings.code, folder, notes, file_sizes(folder))
    there = remote_build(ref)
    if there is None or there["content_hash"] != snapshot.content_hash:
        raise RsnaError(f"{ref} version {version} holds other code than was pushed: did somebody else push? Push again")
    logger.info("%s version %d%s", ref, version, f" with {DIFF_FILE}" if snapshot.dirty else "")
    return PushedCode(ref, version, there, pushed=True)


def require_pushed(settings: Settings, root: Path) -> dict[str, Any]:
    """The `_build.json` of the code on Kaggle, which must be what this checkout has: its commit or its working tree.

    Raises:
        InputError: Where it is not, or is not ready yet; says to push.
        RsnaError: Where files of it did not arrive.
    """
    ref = settings.dataset("code")
    there, state = remote_build(ref), dataset_state(ref)
    if there is None or state is None:
        raise InputError(f"there is no code in {ref}: run `rsna kaggle push-code` first, or add --push")
    if not state.ready:
        raise InputError(f"{ref} is still being processed ({state.status}): a kernel would not find it; try again soon")
    commit = take_snapshot(root)
    here = take_snapshot(root, dirty=True) if there["dirty"] else commit
    if there["content_hash"] == here.content_hash:
        verify_files(ref, here.sizes)
        if here.dirty:
            logger.warning("the code on Kaggle is this working tree, which no commit holds")
        return there
    raise InputError(
        f"the code in {ref} is {describe_build(there)}, this checkout is at {commit.commit[:12]}:"
        " run `rsna kaggle push-code`, or add --push"
    )


def describe_build(build: dict[str, Any]) -> str:
    """A `_build.json` in a few words."""
    return f"{build['commit'][:12]}{' with changes' if build['dirty'] else ''}, content {build['content_hash'][:12]}"
