"""`rsna data`: the competition's files."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="The competition's files.")
    group.command("download")(download)
    group.callback()(_group)
    app.add_typer(group, name="data")


def _group() -> None:
    """Keep `download` a sub-command while it is the only one."""


def download(
    tables: bool = typer.Option(False, "--tables", help="The tables only."),
    patients: int | None = typer.Option(None, "--patients", min=1, metavar="N", help="And the images of N patients."),
    everything: bool = typer.Option(False, "--all", help="And all images: 314 GB of the real competition."),
    out: Path | None = typer.Option(None, help="Default: data/<competition>."),
) -> None:
    """Download what is not there yet; interrupted, the same command goes on."""
    from rsna.errors import InputError
    from rsna.kaggle.competition_files import download_competition
    from rsna.kaggle.settings import read_settings

    if tables + (patients is not None) + everything != 1:
        raise InputError("say what to download: --tables, --patients N or --all")
    settings = read_settings()
    folder = out or Path("data") / settings.name
    fetched, kept = download_competition(settings, folder, patients or ("all" if everything else "tables"))
    typer.echo(f"{folder}: {fetched} files downloaded, {kept} were there")
