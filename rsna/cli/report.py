"""`rsna report`: what a training or a bundle is worth, and what can be chosen on it."""

from __future__ import annotations

from pathlib import Path

import typer


def report(
    source: Path = typer.Argument(..., metavar="RUN|BUNDLE", help="runs/<name>, one of its folds, or a bundle."),
    out: Path | None = typer.Option(None, help="The report's folder; <source>/report for a run."),
    prepared: Path | None = typer.Option(None, help="The prepared set, unless it is where the training had it."),
    by: list[str] = typer.Option([], help="Group by these columns, not by site_id, machine_id …. May be repeated."),
) -> None:
    """Write scores, thresholds with intervals, groups, calibration and the choice of epochs as one folder."""
    from rsna.errors import InputError
    from rsna.inference.schema import SPEC_FILE
    from rsna.workflows.report import GROUPS, write_report

    if out is None and (source / SPEC_FILE).is_file():
        raise InputError("a bundle holds nothing but its own files; give the report a folder with --out")
    typer.echo(write_report(source, out or source / "report", prepared, by or GROUPS))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)
