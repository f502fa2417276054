"""A snapshot of the code as it is pushed: what git has committed, or the working tree with its difference."""

from __future__ import annotations

import fnmatch
import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rsna.errors import InputError, RsnaError
from rsna.kaggle.secrets import refusals
from rsna.kernel.bootstrap import BUILD_FILE, content_hash
from rsna.tracking.provenance import DIFF_FILE

PARTS = ("rsna", "conf", "setup.py", "pyproject.toml", "README.md", "offline_wheels")
LEFT_OUT = (
    "*.pyc",
    "*/__pycache__/*",
    "offline_wheels/*.whl",
    "offline_wheels/*.tmp",
    "offline_wheels/*.json",
    "offline_wheels/*.md",
)


@dataclass(frozen=True)
class Snapshot:
    """The files of a push and what is known about them.

    Attributes:
        files: Contents by path relative to the project's root.
        commit: The commit that they come from.
        dirty: Whether the working tree differs from it in what is pushed.
    """

    files: dict[str, bytes]
    commit: str
    dirty: bool

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 by path."""
        return {path: hashlib.sha256(content).hexdigest() for path, content in sorted(self.files.items())}

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes by path."""
        return {path: len(content) for path, content in sorted(self.files.items())}

    @property
    def content_hash(self) -> str:
        """One SHA-256 for the files, without commit and time: equal content is never pushed twice."""
        return content_hash(self.hashes)

    def build(self) -> dict[str, Any]:
        """What `_build.json` says."""
        return {
            "commit": self.commit,
            "dirty": self.dirty,
            "content_hash": self.content_hash,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": self.hashes,
        }

    def write(self, folder: Path) -> None:
        """Lay the snapshot out in a folder, `_build.json` beside it."""
        for path, content in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        (folder / BUILD_FILE).write_text(json.dumps(self.build(), indent=2) + "\n", encoding="utf-8")


def take_snapshot(root: Path, dirty: bool = False) -> Snapshot:
    """Collect what is pushed.

    Args:
        root: The project's root, a git checkout.
        dirty: Take the working tree; its difference from the commit is pushed along as `_dirty.diff`.

    Raises:
        InputError: Where there is nothing committed, or a file must not leave this machine (named).
    """
    commit = _git(root, "rev-parse", "HEAD").decode().strip()
    difference = _git(root, "diff", "HEAD", "--binary", "--", *PARTS)
    files = _working_files(root) if dirty else _committed_files(root)
    changed = dirty and files != _committed_files(root)
    if changed:
        files[DIFF_FILE] = difference
    problems = refusals(files)
    if problems:
        raise InputError(f"not pushed: {'; '.join(problems)}. Take it out of what is pushed ({', '.join(PARTS)})")
    return Snapshot(files, commit, changed)


def uncommitted(root: Path) -> bool:
    """Whether the working tree differs from the commit in what is pushed."""
    return bool(_git(root, "status", "--porcelain", "--", *PARTS).strip())


def _committed_files(root: Path) -> dict[str, bytes]:
    present = _git(root, "ls-tree", "--name-only", "HEAD", "--", *PARTS).decode().split()
    archive = _git(root, "archive", "--format=tar", "HEAD", "--", *present)
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                files[member.name] = content.read()
    return _wanted(files)


def _working_files(root: Path) -> dict[str, bytes]:
    listed = _git(root, "ls-files", "-co", "--exclude-standard", "-z", "--", *PARTS).decode().split("\0")
    paths = [path for path in listed if path and (root / path).is_file() and not (root / path).is_symlink()]
    return _wanted({path: (root / path).read_bytes() for path in paths})


def _wanted(files: dict[str, bytes]) -> dict[str, bytes]:
    return {p: c for p, c in sorted(files.items()) if not any(fnmatch.fnmatch(p, pattern) for pattern in LEFT_OUT)}


def _git(root: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise RsnaError("git is not installed; the code is pushed as git knows it") from error
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise InputError(f"{root}: git {arguments[0]} failed: {' '.join(reason)}; commit first")
    return done.stdout
