"""`rsna local-kaggle`: up, env, status, add-competition, fault, down, as a person types them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rsna.cli.app import main
from rsna.local_kaggle.control import stop

RSNA = [sys.executable, "-m", "rsna.cli.app", "local-kaggle"]
Rsna = Callable[..., str]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose server is stopped after the test."""
    yield tmp_path / "state"
    if (tmp_path / "state").exists():
        stop(tmp_path / "state")


@pytest.fixture
def rsna(capsys: pytest.CaptureFixture[str]) -> Rsna:
    """Runs a command, which must exit with `status`; returns both of its streams."""

    def run(*arguments: object, status: int = 0) -> str:
        with pytest.raises(SystemExit) as end:
            main(["local-kaggle", *map(str, arguments)])
        told = capsys.readouterr()
        assert (end.value.code or 0) == status, told
        return told.out + told.err

    return run


def test_a_day_with_it(rsna: Rsna, state: Path, breast: Path) -> None:
    option = ("--state", state)
    assert "runs on http://127.0.0.1:" in rsna("up", "--unsafe", "--port", 0, "--user", "alice", *option)
    assert "already running" in rsna("up", "--unsafe", "--port", 0, *option, status=2)
    kaggle = Path(sys.executable).with_name("kaggle")
    shell = f'eval "$({" ".join(RSNA)} env --state {state})" && {kaggle} config view && echo $HOME'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=120)
    assert "username: alice" in done.stdout
    assert done.stdout.strip().endswith(str(state / "client" / "home"))
    rsna("add-competition", "rsna-breast", breast, *option)
    rsna("fault", "http-error", "--set", "method=SaveKernel", "--set", "status=429", *option)
    told = rsna("status", *option)
    assert "user alice" in told
    assert f"rsna-breast (breast): {breast}" in told
    assert "http-error SaveKernel" in told
    rsna("fault", "--off", *option)
    assert "http-error" not in rsna("status", *option)
    assert "stopped" in rsna("down", *option)
    assert "not running" in rsna("status", *option)
    assert "not running" in rsna("down", *option)


def test_clear_errors(rsna: Rsna, state: Path, tmp_path: Path) -> None:
    option = ("--state", state)
    assert "no local Kaggle is running" in rsna("env", *option, status=2)
    assert "is no user name" in rsna("up", "--unsafe", "--foreground", "--user", "No Name", *option, status=2)
    assert "has no sample_submission.csv" in rsna("add-competition", "rsna-breast", tmp_path, *option, status=2)
    assert "there is no fault 'nonsense'" in rsna("fault", "nonsense", *option, status=2)
    assert "is not KEY=VALUE" in rsna("fault", "http-error", "--set", "status", *option, status=2)
    (state / "settings.json").write_text('{"speed": 1}')
    assert "unknown key(s) speed" in rsna("up", "--unsafe", *option, status=1)


def test_a_taken_port_is_told(rsna: Rsna, state: Path, tmp_path: Path) -> None:
    first = rsna("up", "--unsafe", "--port", 0, "--state", state)
    port = first.split("127.0.0.1:")[1].split()[0]
    told = rsna("up", "--unsafe", "--foreground", "--port", port, "--state", tmp_path / "other", status=2)
    assert f"port {port} is taken" in told
