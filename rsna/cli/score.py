"""`rsna score`: score a submission against a solution."""

from __future__ import annotations

from pathlib import Path

import typer


def score(
    submission: Path = typer.Option(..., metavar="CSV", help="The file to score."),
    solution: Path = typer.Option(..., metavar="CSV", help="The truth: the submission's columns, and perhaps Usage."),
    competition: str = typer.Option("breast", help="Its name."),
) -> None:
    """Score a submission as the competition does; where the solution says Usage, the two leaderboards too."""
    from rsna.competitions import create_competition

    rules = create_competition(competition)
    truth = rules.read_solution(solution)
    scores = rules.score(rules.check_submission(submission, truth), truth)
    for name, value in scores.items():
        typer.echo(f"{name:<12} {value:.4f}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("score")(score)
