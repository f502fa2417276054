"""`rsna synth breast`: a synthetic competition to train on and to rehearse with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import typer


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Make a synthetic competition with the real file layout.")
    group.command("breast")(breast)
    group.callback()(_group)
    app.add_typer(group, name="synth")


def _group() -> None:
    """Keep `breast` a sub-command while it is the only one."""


def breast(
    out: Path = typer.Option(..., help="The competition's folder; an interrupted one is completed."),
    patients: int = typer.Option(200, help="Patients of the training set."),
    hidden_patients: int = typer.Option(100, help="Patients of the hidden test set."),
    scale: float = typer.Option(0.1, help="Size of the images relative to the real ones (0.03 to 1)."),
    seed: int = typer.Option(0, help="The same seed and options give the same bytes."),
    positive_rate: float | None = typer.Option(None, help="Share of breasts with cancer; by default the real 0.0206."),
    difficulty: str = typer.Option("normal", help="Contrast of the lesions: easy, normal or hard."),
    workers: int = typer.Option(os.cpu_count() or 1, min=1, help="Processes. They do not change the bytes."),
) -> None:
    """Make a synthetic breast-cancer competition: real DICOM files, tables like the real ones, a hidden test."""
    from rsna.synthetic import BreastOptions, make_breast
    from rsna.synthetic.options import REAL_POSITIVE_RATE, Difficulty

    rate = REAL_POSITIVE_RATE if positive_rate is None else positive_rate
    options = BreastOptions(patients, hidden_patients, scale, seed, rate, cast(Difficulty, difficulty))
    make_breast(out, options, workers)
    typer.echo(f"{out}: the visible competition; {out / 'hidden'}: the hidden test and its solution")
