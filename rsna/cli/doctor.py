"""`rsna doctor`: what this machine has, what it lacks, and what to do about each lack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rsna.workflows.doctor import Finding


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    live: bool = typer.Option(False, "--live", help="Push a small probe to Kaggle and record what its image has."),
    out: Path = typer.Option(Path(".rsna/kaggle-image"), metavar="DIR", help="Of --live: where the results go."),
) -> None:
    """Look at decoders, sandbox, GPU, disk, memory, credentials, clock and git; say what to do about each lack.

    The exit status is 1 only where something essential is missing, marked with !!.
    """
    if live:
        _live(out)
        return
    from rsna.workflows.doctor import examine

    findings: list[Finding] = []
    for finding in examine():
        if not findings or findings[-1].area != finding.area:
            typer.echo(f"{finding.area}:")
        typer.echo(f"  {finding.mark:2} {finding.name:18} {finding.text}")
        if finding.remedy:
            typer.echo(f"     {'':18} -> {finding.remedy}")
        findings.append(finding)
    if any(finding.mark == "!!" for finding in findings):
        raise typer.Exit(1)


def _live(out: Path) -> None:
    from rsna.kaggle.settings import read_settings
    from rsna.workflows.doctor_live import PROFILE_FILE, differences_from_local, probe_kaggle

    settings = read_settings()
    found = probe_kaggle(settings, out, typer.echo)
    typer.echo(f"{out / PROFILE_FILE}: Python {found['python']}, {len(found['packages'])} packages")
    for line in differences_from_local(found, settings, out, typer.echo):
        typer.echo(f"  {line}")
