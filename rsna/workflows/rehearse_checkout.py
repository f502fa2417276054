"""A checkout of a rehearsal's own: the same code, but settings, outputs, runs and logbook apart from the real ones."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from rsna.errors import InputError, RsnaError
from rsna.io import ensure_dir
from rsna.kaggle.snapshot import PARTS

NEEDED = (".gitignore", "kaggle_kernels", *PARTS)  # of all that is committed; LOG.md is the rehearsal's own
MARK = "rsna.rehearsal"  # in the git configuration of a rehearsal's checkout


def mirror_checkout(root: Path, folder: Path, dirty: bool) -> None:
    """Make a folder, or bring it up to date: a git checkout of the commit of another one, with what pushes need.

    Args:
        root: The checkout that is rehearsed.
        folder: Becomes the rehearsal's; what else lies there is left alone.
        dirty: Take the files as they are in `root` instead of as they are committed.

    Raises:
        InputError: Where `root` is no git checkout, or has no commit; where `folder` holds somebody else's files.
        RsnaError: Without git.
    """
    commit = _git(root, "rev-parse", "--verify", "HEAD").strip()
    _claim(ensure_dir(folder))
    _git(folder, "fetch", "--quiet", "--depth", "1", root.resolve().as_uri(), "HEAD")
    _git(folder, "reset", "--quiet", "--soft", commit)
    _git(folder, "read-tree", commit)
    for name in NEEDED:
        _remove(folder / name)
    if dirty:
        _copy(root, folder)
    else:
        present = _git(folder, "ls-tree", "--name-only", "-z", commit, "--", *NEEDED).split("\0")
        _git(folder, "checkout", "--quiet", "--", *filter(None, present))


def _claim(folder: Path) -> None:
    """Make the folder ours, or see that it is: its files are replaced without asking."""
    if (folder / ".git").exists():
        if "true" not in _git(folder, "config", "--local", "--default", "false", "--get", MARK):
            raise InputError(f"{folder} is another checkout; a rehearsal needs a folder of its own")
        return
    if taken := [name for name in NEEDED if (folder / name).exists()]:
        raise InputError(f"{folder} has a {taken[0]} already; a rehearsal needs a folder of its own")
    _git(folder, "init", "--quiet")
    _git(folder, "config", "--local", MARK, "true")


def _copy(root: Path, folder: Path) -> None:
    """The files that git knows or would take, as they are."""
    for name in _git(root, "ls-files", "-co", "--exclude-standard", "-z", "--", *NEEDED).split("\0"):
        source, target = root / name, folder / name
        if name and source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise RsnaError("git is not installed; a rehearsal pushes the code as git knows it") from error
    if done.returncode:
        reason = " ".join(done.stderr.strip().splitlines()[-1:])
        raise InputError(f"{folder}: git {arguments[0]} failed: {reason}; rehearse in a git checkout with a commit")
    return done.stdout
