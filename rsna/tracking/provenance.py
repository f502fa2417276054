"""Which code a run was made by: the commit, whether the tree differed from it, and how."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import rsna
from rsna.io import read_json, read_text
from rsna.kernel.bootstrap import BUILD_FILE

UNKNOWN = "unknown"
DIFF_FILE = "_dirty.diff"  # beside the `_build.json` of a pushed working tree
CODE = ("rsna", "conf")  # new files are shown in the diff only from here: elsewhere they may be data or secrets
MAX_DIFF_CHARS = 5_000_000
GIT_TIMEOUT = 60  # seconds


@dataclass(frozen=True)
class Provenance:
    """The state of the code.

    Attributes:
        commit: The full hash of the commit, or `unknown`.
        dirty: Whether the working tree differs from the commit.
        diff: How, as a patch against the commit; new files of `rsna/` and `conf/` are in it.
    """

    commit: str = UNKNOWN
    dirty: bool = False
    diff: str = ""

    @property
    def label(self) -> str:
        """The first 12 digits of the commit, with `-dirty` where the tree differed from it."""
        return self.commit[:12] + ("-dirty" if self.dirty else "")


def code_provenance(root: Path | None = None) -> Provenance:
    """The provenance of the code that runs; `unknown` where neither git nor a push to Kaggle knows it.

    Args:
        root: The folder that holds `rsna/`; the one that this package was imported from unless given.
    """
    folder = root or Path(rsna.__file__).resolve().parents[1]
    # A package installed into an environment inside somebody's checkout is not part of that checkout.
    if not _git(folder, "ls-files", "rsna/__init__.py"):
        return _pushed(folder)
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD").strip()
    if not commit:
        return Provenance(dirty=True)
    dirty = bool(_git(folder, "status", "--porcelain"))
    return Provenance(commit, dirty, _diff(folder)[:MAX_DIFF_CHARS] if dirty else "")


def _pushed(folder: Path) -> Provenance:
    """What a push to Kaggle says of the code that it put into a folder."""
    if not (folder / BUILD_FILE).is_file():
        return Provenance()
    build = read_json(folder / BUILD_FILE)
    diff = read_text(folder / DIFF_FILE)[:MAX_DIFF_CHARS] if (folder / DIFF_FILE).is_file() else ""
    return Provenance(str(build.get("commit", UNKNOWN)), bool(build.get("dirty")), diff)


def _diff(folder: Path) -> str:
    """The patch against HEAD. New code files are announced to a copy of the index, never to the index itself."""
    index = folder / _git(folder, "rev-parse", "--git-path", "index").strip()
    new = [name for name in CODE if (folder / name).is_dir()]
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "index"
        shutil.copyfile(index, copy)
        environment = {"GIT_INDEX_FILE": str(copy)}
        _git(folder, "add", "--intent-to-add", "--", *new, environment=environment)
        return _git(folder, "diff", "--no-ext-diff", "--no-color", "HEAD", environment=environment)


def _git(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """The output of a git command, empty where git is missing, fails, or takes too long."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=GIT_TIMEOUT, check=True, env={**os.environ, **(environment or {})}
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", errors="replace")
