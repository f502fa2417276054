"""`rsna log`: write down in LOG.md what was tried and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rsna.tracking.logbook import Entry


def log(
    run: Path | None = typer.Option(None, metavar="DIR", help="A training run, runs/NAME."),
    bundle: Path | None = typer.Option(None, metavar="DIR", help="A model bundle, models/NAME."),
    submission: Path | None = typer.Option(None, metavar="CSV", help="A scored submission; --bundle says whose."),
    score: list[str] = typer.Option(
        [], metavar="[NAME=]VALUE", help="Its score, such as public=0.41; may be repeated."
    ),
    message: str = typer.Option("", "--message", "-m", help="What was tried, in your words."),
    file: Path = typer.Option(Path("LOG.md"), metavar="MD", help="The logbook."),
) -> None:
    """Write a dated entry to the logbook, newest first, or bring the one of the same thing up to date."""
    from rsna.tracking.logbook import log_entry

    entry = _entry(run, bundle, submission, score, file)
    changed = log_entry(file, entry, message)
    typer.echo(f"{file}: {entry.title}{'' if changed else ' (nothing new)'}")


def _entry(run: Path | None, bundle: Path | None, submission: Path | None, score: list[str], file: Path) -> Entry:
    from rsna.errors import InputError
    from rsna.tracking.entries import bundle_entry, run_entry, submission_entry

    if submission and score and not run:
        return submission_entry(submission, dict(map(_parse_score, score)), bundle, file)
    if run and not (bundle or submission or score):
        return run_entry(run, file)
    if bundle and not (run or submission or score):
        return bundle_entry(bundle, file)
    raise InputError("say what to log: --run DIR, or --bundle DIR, or --submission CSV --score VALUE [--bundle DIR]")


def _parse_score(text: str) -> tuple[str, float]:
    from rsna.errors import InputError

    name, _, value = text.rpartition("=")
    try:
        return name or "score", float(value)
    except ValueError as error:
        raise InputError(f"--score {text}: write a number, or a name and a number such as public=0.41") from error


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("log")(log)
