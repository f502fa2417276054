"""The program itself: instant help, one line and an exit status for every error."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from rsna.cli import app as program
from rsna.errors import InputError, RsnaError

HEAVY = ("torch", "pandas", "mlflow", "lightning", "hydra", "matplotlib", "pydicom", "cv2")


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, rsna.cli.app; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", sorted(typer.main.get_command(program.app).commands))  # type: ignore[attr-defined]
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        program.main([name, "--help"])
    assert caught.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 5


@pytest.mark.parametrize(
    ("error", "status"), [(InputError("bad"), 2), (RsnaError("broken"), 1), (KeyboardInterrupt(), 130)]
)
def test_an_error_is_one_line_and_a_status(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(program, "app", fail)
    with pytest.raises(SystemExit) as caught:
        program.main([])
    assert caught.value.code == status
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise InputError("bad")

    monkeypatch.setenv("RSNA_DEBUG", "1")
    monkeypatch.setattr(program, "app", fail)
    with pytest.raises(InputError):
        program.main([])


def test_an_unknown_command_is_a_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        program.main(["no-such-command"])
    assert caught.value.code == 2
    assert "no-such-command" in capsys.readouterr().err
