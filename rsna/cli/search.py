"""`rsna search`."""

from __future__ import annotations

import typer

from rsna.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("search")(search)


def search(
    overrides: list[str] = typer.Argument(
        None, help="Hydra overrides; several values or an interval are searched: 'model.dropout=interval(0.0,0.5)'."
    ),
    trials: int = typer.Option(30, min=1, help="Trials in the whole study; the same command goes on with it."),
) -> None:
    """Search hyper-parameters with Optuna; trials that fall behind are pruned, and the study is kept."""
    try:
        from rsna.training.search import search as run
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise InputError("rsna search needs optuna: pip install 'rsna[search]'") from error

    study = run(overrides or [], trials)
    try:
        best = study.best_trial
    except ValueError as error:
        raise InputError("search: every trial was pruned or diverged; lower the learning rates") from error
    typer.echo(f"best of {len(study.trials)}: {best.value:.4f}, run {best.user_attrs['run']}")
    typer.echo(" ".join(f"{key}={value}" for key, value in best.params.items()))
