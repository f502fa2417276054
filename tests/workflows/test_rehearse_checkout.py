"""The checkout of a rehearsal: the same code, and never somebody else's folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rsna.errors import InputError
from rsna.kaggle.snapshot import take_snapshot
from rsna.workflows.rehearse_checkout import mirror_checkout


def git(root: Path, *arguments: str) -> str:
    """Run git in a folder, as somebody."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a commit."""
    root = tmp_path / "a checkout"
    files = {"rsna/one.py": "1", "rsna/two.py": "2", "setup.py": "", "LOG.md": "real", ".gitignore": "*.pyc\n/demo/\n"}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    return root


def test_it_holds_the_commit_and_no_logbook(root: Path) -> None:
    (root / "rsna" / "one.py").write_text("changed")
    mirror_checkout(root, root / "demo", dirty=False)
    assert git(root / "demo", "rev-parse", "HEAD") == git(root, "rev-parse", "HEAD")
    assert (root / "demo" / "rsna" / "one.py").read_text() == "1"
    assert not (root / "demo" / "LOG.md").exists()
    assert take_snapshot(root / "demo").content_hash == take_snapshot(root).content_hash


def test_it_holds_the_working_tree_when_asked(root: Path) -> None:
    (root / "rsna" / "one.py").write_text("changed")
    (root / "rsna" / "new.py").write_text("new")
    (root / "rsna" / "cached.pyc").write_text("ignored")
    (root / "rsna" / "two.py").unlink()
    mirror_checkout(root, root / "demo", dirty=True)
    assert sorted(path.name for path in (root / "demo" / "rsna").iterdir()) == ["new.py", "one.py"]
    there, here = take_snapshot(root / "demo", dirty=True), take_snapshot(root, dirty=True)
    assert there.dirty
    assert there.hashes == here.hashes


def test_it_follows_the_code_and_keeps_what_is_its_own(root: Path) -> None:
    folder = root / "demo"
    mirror_checkout(root, folder, dirty=True)
    (folder / "LOG.md").write_text("rehearsed")
    (root / "rsna" / "two.py").unlink()
    git(root, "commit", "-qam", "two")
    mirror_checkout(root, folder, dirty=False)
    assert sorted(path.name for path in (folder / "rsna").iterdir()) == ["one.py"]
    assert (folder / "LOG.md").read_text() == "rehearsed"
    assert git(folder, "rev-parse", "HEAD") == git(root, "rev-parse", "HEAD")


@pytest.mark.parametrize("place", [".", "other", "files"])
def test_it_takes_no_folder_of_somebody_else(root: Path, tmp_path: Path, place: str) -> None:
    folder = {".": root, "other": tmp_path / "other", "files": tmp_path / "files"}[place]
    (folder / "rsna").mkdir(parents=True, exist_ok=True)
    (folder / "rsna" / "mine.py").write_text("mine")
    if place == "other":
        git(folder, "init", "-q")
    with pytest.raises(InputError, match="a folder of its own"):
        mirror_checkout(root, folder, dirty=True)
    assert (folder / "rsna" / "mine.py").read_text() == "mine"


def test_without_a_commit_it_says_what_to_do(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(InputError, match="a git checkout with a commit"):
        mirror_checkout(tmp_path, tmp_path / "demo", dirty=True)
