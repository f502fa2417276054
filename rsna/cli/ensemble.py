"""`rsna ensemble`: several bundles as one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer


class Way(StrEnum):
    """How units are combined."""

    mean = "mean"
    rank = "rank"
    weights = "weights"


def ensemble(
    bundles: list[Path] = typer.Argument(..., metavar="BUNDLE...", help="At least two, of one table of folds."),
    out: Path = typer.Option(..., help="The ensemble's folder, such as models/<name>."),
    by: Way = typer.Option(Way.mean, help="mean, rank (among the out-of-fold predictions), weights."),
    weight: list[float] = typer.Option([], help="With --by weights: one per bundle; fitted unless given."),
    threshold: str = typer.Option("best", help="best, or a percentile of the units such as p98.2."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace another ensemble in --out."),
) -> None:
    """Combine bundles, and say what each of them and each way to combine them is worth."""
    from rsna.ensembling.build import build_ensemble

    built = build_ensemble(bundles, out, by.value, weight, threshold, overwrite)
    spec = built.ensemble.spec
    typer.echo(built.scores.round(4).to_string())
    if len(built.weights):
        typer.echo(f"\nweights chosen without each fold\n{built.weights.round(3).to_string(index=False)}\n")
    for part in spec.parts:
        typer.echo(f"{'part':18}{part.folder}: weight {part.weight:.3f}, digest {part.digest[:12]}")
    low, high = spec.threshold.low, spec.threshold.high
    typer.echo(f"{'threshold':18}{spec.threshold.value:.4f}; as good from {low:.4f} to {high:.4f}")
    typer.echo(f"{'digest':18}{spec.digest}")
    typer.echo(f"{'ensemble':18}{out}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ensemble")(ensemble)
