"""`rsna init`: the one settings file of a checkout."""

from __future__ import annotations

import sys
from typing import Any

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    user: str | None = typer.Option(None, help="The Kaggle user; by default whose the credentials are."),
    competition: str | None = typer.Option(None, help="The competition's slug on Kaggle."),
    name: str | None = typer.Option(None, help="What this package calls it, such as breast."),
    bucket: str | None = typer.Option(None, help="A Cloud Storage bucket for the runs; empty for none."),
    prefix: str | None = typer.Option(None, help="The folder in the bucket."),
    code: str | None = typer.Option(None, help="Slug of the data set of the code."),
    wheels: str | None = typer.Option(None, help="Slug of the data set of the offline wheels."),
    model: str | None = typer.Option(None, help="Slug of the data set of the model bundle."),
    prepared: str | None = typer.Option(None, help="Slug of the data set of prepared pictures."),
    credentials: str | None = typer.Option(None, help="Slug of the private data set of the bucket's key."),
    kernels: str | None = typer.Option(None, help="What the kernels' slugs begin with: <kernels>-train and so on."),
) -> None:
    """Write .rsna/settings.yaml, which every Kaggle command reads. It holds no secret, and git ignores it.

    What is not given as an option is asked for on a terminal; elsewhere it stays what it was, or the default.
    """
    from rsna.config import dump, load
    from rsna.kaggle.settings import SETTINGS_FILE, Settings, read_settings, write_settings

    places = {"competition": competition, "name": name, "bucket": bucket, "prefix": prefix}
    slugs = {"code": code, "wheels": wheels, "model": model, "prepared": prepared, "credentials": credentials}
    options = {"user": user, **places, **slugs, "kernels": kernels}
    given = {key: value for key, value in options.items() if value is not None}
    before = read_settings() if SETTINGS_FILE.is_file() else Settings(given.get("user") or _default_user())
    values = dump(before) | given
    if sys.stdin.isatty():
        values |= {key: _ask(key, values[key]) for key in values if key not in given}
    settings = load(Settings, values, "rsna init")
    write_settings(settings)
    typer.echo(f"{SETTINGS_FILE}: {settings.user}, {settings.competition}, bucket {settings.bucket or 'none'}")


def _default_user() -> str:
    """Whose the credentials are; asked for where there are none."""
    from rsna.errors import InputError
    from rsna.kaggle.client import user_name

    try:
        return user_name()
    except InputError as error:
        if not sys.stdin.isatty():
            raise InputError(f"say who you are on Kaggle, --user NAME, since there are {error}") from error
    return str(typer.prompt("user"))


def _ask(key: str, value: Any) -> str:
    return str(typer.prompt(key, default=value))
