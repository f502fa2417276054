"""`rsna check-submission`: find what Kaggle would refuse, before Kaggle does."""

from __future__ import annotations

from pathlib import Path

import typer


def check_submission(
    file: Path = typer.Argument(..., help="The submission."),
    sample: Path = typer.Option(..., metavar="CSV", help="The competition's sample_submission.csv."),
    competition: str = typer.Option("breast", help="Its name."),
) -> None:
    """Check a submission file against the sample: columns, ids, values. Exit status 2 names the first problem."""
    from rsna.competitions import create_competition

    rules = create_competition(competition)
    values = rules.check_submission(file, sample)[list(rules.format.values)]
    ranges = ", ".join(f"{name} from {values[name].min():g} to {values[name].max():g}" for name in values)
    typer.echo(f"{file} is valid: {len(values)} rows, {ranges}, mean {values.to_numpy().mean():.4g}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check-submission")(check_submission)
