"""The package as the data set `<user>/rsna-code`: pushed when its content changes, and only then."""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsna.kaggle.datasets import dataset_state, download_file, push_dataset
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
    with tempfile.TemporaryDirectory(prefix="rsna-build-") as folder:
        path = download_file(ref, BUILD_FILE, Path(folder))
        if path is None:
            return None
        try:
            build = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return None  # somebody else's file under our name: push over it
    return build if isinstance(build, dict) and "content_hash" in build else None


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
    if there and there["content_hash"] == snapshot.content_hash:
        state = dataset_state(ref)
        if state and state.ready:
            return PushedCode(ref, state.version, there, pushed=False)
    return _push(ref, snapshot)


def _push(ref: str, snapshot: Snapshot) -> PushedCode:
    with tempfile.TemporaryDirectory(prefix="rsna-code-") as name:
        folder = Path(name)
        snapshot.write(folder)
        sizes = {
            path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()
        }
        notes = f"{snapshot.commit[:12]}{' dirty' if snapshot.dirty else ''} {snapshot.content_hash[:12]}"
        version = push_dataset(ref, "RSNA code", folder, notes, sizes)
        build = json.loads((folder / BUILD_FILE).read_text(encoding="utf-8"))
    logger.info("%s version %d%s", ref, version, f" with {DIFF_FILE}" if snapshot.dirty else "")
    return PushedCode(ref, version, build, pushed=True)
