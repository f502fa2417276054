"""`rsna find`: a learning rate and a batch size to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rsna.training.finders import Finding

OVERRIDES = typer.Argument(None, help="Hydra overrides, as for `rsna train`.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    find = typer.Typer(help="Find a learning rate or a batch size to begin with.", no_args_is_help=True)
    find.command("lr")(learning_rate)
    find.command("batch-size")(batch_size)
    app.add_typer(find, name="find")


def learning_rate(
    overrides: list[str] = OVERRIDES,
    low: float = typer.Option(1e-6, help="The first learning rate."),
    high: float = typer.Option(1.0, help="The last learning rate."),
    steps: int = typer.Option(100, help="Optimiser steps."),
    out: Path = typer.Option(Path("find_lr.png"), help="The figure."),
) -> None:
    """Train a little with a rising learning rate and suggest the one at which the loss falls fastest."""
    from rsna.config.compose import compose
    from rsna.config.training import TrainConfig
    from rsna.training.finders import find_learning_rate

    finding = find_learning_rate(compose(TrainConfig, "train", overrides or []), low, high, steps)
    _tell(finding, out, "optimizer.lr")


def batch_size(
    overrides: list[str] = OVERRIDES,
    largest: int = typer.Option(1024, help="Images in the largest batch to try."),
    out: Path = typer.Option(Path("find_batch_size.png"), help="The figure."),
) -> None:
    """Time training steps with growing batches and suggest the smallest that is nearly the fastest."""
    from rsna.config.compose import compose
    from rsna.config.training import TrainConfig
    from rsna.training.finders import find_batch_size

    finding = find_batch_size(compose(TrainConfig, "train", overrides or []), largest)
    typer.echo(finding.trials.dropna(axis=1).to_string(index=False, float_format="{:.1f}".format))
    _tell(finding, out, "trainer.batch_size")


def _tell(finding: Finding, out: Path, key: str) -> None:
    from rsna.training.finders import plot_finding

    plot_finding(finding, out)
    typer.echo(f"figure: {out}")
    if finding.suggestion is None:
        typer.echo("no suggestion: the loss never fell; widen the range or look at the figure")
    else:
        typer.echo(f"suggestion: {key}={finding.suggestion:.3g}")
