"""`rsna status`."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status() -> None:
    """Where this checkout and Kaggle stand: code, bundle, last runs, GPU quota, submissions left today."""
    from rsna.kaggle.settings import read_settings
    from rsna.kaggle.status import status_lines

    for name, text in status_lines(read_settings(), Path()):
        typer.echo(f"{name:12} {text}")
