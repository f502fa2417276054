"""`rsna collect`: from trained folds to a model bundle."""

from __future__ import annotations

from pathlib import Path

import typer


def collect(
    runs: list[Path] = typer.Argument(..., metavar="RUN...", help="runs/<name>, or single folds runs/<name>/fold_<k>."),
    out: Path = typer.Option(..., help="The bundle's folder, such as models/<name>."),
    data: Path | None = typer.Option(None, help="The competition's folder, unless it is where the training had it."),
    prepared: Path | None = typer.Option(None, help="The prepared set, unless it is where the training had it."),
    folds: Path | None = typer.Option(None, help="The table of folds, unless it is where the training had it."),
    tta: list[str] = typer.Option(
        ["none"], help="Augmentations at test time: none, hflip, scale_90, … May be repeated."
    ),
    select: str = typer.Option(
        "best", help="The epoch of each fold: best, same, joint, last; see docs/after-training.md."
    ),
    aggregation: str = typer.Option(
        "", help="From images to units instead of the configuration's: mean, max, min, median, noisy_or, learned."
    ),
    by: str = typer.Option("", help="With learned: a column, such as site_id, whose values are learned apart."),
    threshold: str = typer.Option("best", help="best, or a percentile of the units such as p98.2."),
    accept_skew: bool = typer.Option(
        False, "--accept-skew", help="Go on although the prepared pictures cannot be reproduced; the bundle says so."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace another bundle in --out."),
) -> None:
    """Check that trained folds belong together, fit the threshold on their predictions, and write the bundle."""
    from rsna.cli.bundle import echo_bundle
    from rsna.workflows.collect import Choices
    from rsna.workflows.collect import collect as run

    choices = Choices(select, aggregation, by, threshold)
    echo_bundle(run(runs, out, data, prepared, folds, tta, accept_skew, overwrite, choices))
    typer.echo(f"{'bundle':18}{out}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("collect")(collect)
