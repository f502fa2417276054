"""A local Kaggle, and a checkout of this project that pushes to it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "local_kaggle"))

from checkout import COMPETITION, Checkout, copy_project
from kaggle_lab import Lab, lab, server  # noqa: F401

from rsna.kaggle.settings import SETTINGS_FILE, Settings, write_settings
from rsna.synthetic import BreastOptions, make_breast


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git checkout with the code as it is here."""
    return copy_project(tmp_path_factory.mktemp("project") / "project")


@pytest.fixture
def checkout(project: Path, lab: Lab, tmp_path: Path) -> Checkout:  # noqa: F811
    """A checkout of its own, with settings."""
    root = tmp_path / "project"
    shutil.copytree(project, root, symlinks=True)
    write_settings(Settings("alice", COMPETITION), root / SETTINGS_FILE)
    return Checkout(root, lab)


@pytest.fixture(scope="session")
def competition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic competition, small; not to be changed."""
    folder = tmp_path_factory.mktemp("competition") / "breast"
    make_breast(folder, BreastOptions(10, 2, scale=0.03, seed=1, positive_rate=0.4))
    return folder
