"""Fixtures that every test may use."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("tests", deadline=None, derandomize=True)  # a busy machine is no failure; fuzz.sh explores
settings.register_profile("fuzz", deadline=None, max_examples=2000, print_blob=True)  # of scripts/fuzz.sh

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: commands would inherit deafness
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    """Take the tests' profile where the command line names no other."""
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("tests")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real files beside the checkout; a test that needs it is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder of real files is not beside this checkout")
    return SHARED_DATA
