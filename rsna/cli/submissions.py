"""`rsna submit` and `rsna submissions`: from a bundle to a score, and all scores so far."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rsna.kaggle.submissions import Submission

LIST = "{:>9}  {:16}  {:8}  {:>8}  {:>8}  {}"


def submit(
    bundle: Path | None = typer.Option(None, help="What to submit; else the one of models/ that is on Kaggle."),
    message: str = typer.Option("", "--message", "-m", help="What Kaggle and LOG.md shall say of it."),
    data: Path | None = typer.Option(None, help="The competition's folder, where it takes a file instead of code."),
    push: bool = typer.Option(False, "--push", help="Push the committed code first, if Kaggle has other code."),
    timeout: int = typer.Option(12 * 3600, metavar="SECONDS", help="Kaggle ends the kernel's run after this."),
    ref: int = typer.Option(0, min=0, help="Make none, but wait for the score of this one, made here earlier."),
    log: Path = typer.Option(Path("LOG.md"), help="The logbook."),
) -> None:
    """Run the submit kernel, submit that run, wait for the score, and write it to MLflow and LOG.md."""
    from rsna.kaggle.settings import read_settings
    from rsna.kaggle.submit import Made, Order, follow_submission
    from rsna.kaggle.submit import submit as make

    if ref:
        made = Made.find(ref)
    else:
        order = Order(bundle, message, data, push, timeout)
        made = make(read_settings(), Path(), order, lambda text: typer.echo(text, nl=False))
        typer.echo(f"submission {made.ref} to {made.competition} is made; waiting for its score")
    scored = follow_submission(made, log)
    scores = ", ".join(f"{name} {value:g}" for name, value in scored.scores.items())
    typer.echo(f"submission {scored.ref}: {scores or 'scored, but Kaggle does not tell how'}; see {log}")


def submissions() -> None:
    """List all submissions to the competition: status, scores, and why one failed."""
    from rsna.kaggle.settings import read_settings
    from rsna.kaggle.submissions import list_submissions

    found = list(list_submissions(read_settings().competition))
    typer.echo(LIST.format("ref", "date (UTC)", "status", "public", "private", "what").rstrip())
    for submission in found:
        typer.echo(_row(submission))
    if not found:
        typer.echo("none yet")


def _row(submission: Submission) -> str:
    scores = ["" if math.isnan(s) else f"{s:.5f}" for s in (submission.public, submission.private)]
    date = f"{submission.date:%Y-%m-%d %H:%M}" if submission.date else ""
    what = ": ".join(filter(None, (submission.error, submission.description)))
    return LIST.format(submission.ref, date, submission.status, *scores, " ".join(what.split())).rstrip()


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("submit")(submit)
    app.command("submissions")(submissions)
