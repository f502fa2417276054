"""One small competition and its prepared set for all tests of preparation."""

from __future__ import annotations

from pathlib import Path

import pytest
from preparing import configure

from rsna.preparation.prepare import prepare
from rsna.synthetic import BreastOptions, make_breast


@pytest.fixture(scope="session")
def competition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic breast competition of six patients; not to be changed."""
    folder = tmp_path_factory.mktemp("competition")
    make_breast(folder, BreastOptions(patients=6, hidden_patients=1, scale=0.05, seed=1))
    return folder


@pytest.fixture(scope="session")
def whole(competition: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its prepared set, made in one undisturbed run; not to be changed."""
    folder = tmp_path_factory.mktemp("prepared") / "whole"
    prepare(configure(competition, folder))
    return folder
