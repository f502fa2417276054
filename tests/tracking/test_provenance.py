"""The state of the code, in real git repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rsna.tracking.environment import describe_environment, freeze_packages
from rsna.tracking.provenance import Provenance, code_provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clean checkout with one commit, whose path has a space."""
    root = tmp_path / "a checkout"
    (root / "rsna").mkdir(parents=True)
    (root / "conf").mkdir()
    (root / "rsna" / "__init__.py").write_text("")
    (root / "conf" / "train.yaml").write_text("epochs: 1\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def test_a_clean_checkout(checkout: Path) -> None:
    found = code_provenance(checkout)
    assert found == Provenance(git(checkout, "rev-parse", "HEAD"), dirty=False, diff="")
    assert found.label == found.commit[:12]


def test_the_diff_rebuilds_the_code(checkout: Path, tmp_path: Path) -> None:
    (checkout / "conf" / "train.yaml").write_text("epochs: 2\n")
    (checkout / "rsna" / "new.py").write_text("VALUE = 1\n")
    (checkout / "rsna" / "staged.py").write_text("VALUE = 2\n")
    git(checkout, "add", "rsna/staged.py")
    found = code_provenance(checkout)
    assert found.dirty
    assert found.label.endswith("-dirty")

    copy, patch = tmp_path / "copy", tmp_path / "code.diff"
    git(tmp_path, "clone", "-q", str(checkout), str(copy))
    patch.write_text(found.diff)
    git(copy, "apply", str(patch))
    for name in ("conf/train.yaml", "rsna/new.py", "rsna/staged.py"):
        assert (copy / name).read_text() == (checkout / name).read_text()


def test_new_files_elsewhere_stay_private(checkout: Path) -> None:
    (checkout / "kaggle-key.txt").write_text("hunter2")
    found = code_provenance(checkout)
    assert found.dirty
    assert found.diff == ""


def test_the_index_is_left_alone(checkout: Path) -> None:
    (checkout / "rsna" / "new.py").write_text("")
    before = (checkout / ".git" / "index").read_bytes()
    code_provenance(checkout)
    assert (checkout / ".git" / "index").read_bytes() == before


def test_outside_git_it_is_unknown(tmp_path: Path) -> None:
    assert code_provenance(tmp_path) == Provenance("unknown", dirty=False, diff="")


def test_an_environment_inside_another_checkout_is_not_part_of_it(checkout: Path) -> None:
    packages = checkout / ".venv" / "site-packages"
    (packages / "rsna").mkdir(parents=True)
    (packages / "rsna" / "__init__.py").write_text("")
    assert code_provenance(packages).commit == "unknown"


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    (tmp_path / "rsna").mkdir()
    (tmp_path / "rsna" / "__init__.py").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    assert code_provenance(tmp_path) == Provenance("unknown", dirty=True, diff="")


def test_the_environment_names_what_changes_results(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("KAGGLE_KEY", "hunter2")
    found = describe_environment()
    assert found["torch"]["version"] == torch.__version__
    assert found["variables"]["OMP_NUM_THREADS"] == "3"
    assert "hunter2" not in str(found)


def test_packages_are_those_that_are_imported() -> None:
    import numpy as np

    lines = freeze_packages()
    assert f"numpy=={np.__version__}" in lines
    assert [line.lower() for line in lines] == sorted((line.lower() for line in lines), key=lambda x: x.split("==")[0])
