"""`rsna train`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def train(
    overrides: list[str] = typer.Argument(None, help="Hydra overrides, such as experiment=breast/demo fold=all."),
    multirun: bool = typer.Option(False, "--multirun", "-m", help="Train every combination of a=1,2 b=3,4."),
) -> None:
    """Train a model on a prepared data set; the same command again goes on where it was stopped."""
    from rsna.config.compose import compose
    from rsna.config.training import TrainConfig
    from rsna.training import train as run
    from rsna.training.multirun import train_many

    if multirun:
        train_many(overrides or [])
        return
    metrics = run(compose(TrainConfig, "train", overrides or []))
    for name, value in metrics.items():
        typer.echo(f"{name:24} {value:.4f}")
