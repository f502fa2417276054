"""`rsna rehearse`: our own commands on the local Kaggle, one stage at a time or all of them."""

from __future__ import annotations

from pathlib import Path

import typer

STAGES = ("library", "prepare", "train", "submit", "all")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rehearse")(rehearse)


def rehearse(
    stage: str = typer.Argument(metavar="STAGE", help=f"{', '.join(STAGES)}."),
    data: Path = typer.Option(..., metavar="DIR", help="A competition's folder, such as `rsna synth breast` makes."),
    prepare: list[str] = typer.Option([], metavar="KEY=VALUE", help="An override of `rsna prepare`. May be repeated."),
    train: list[str] = typer.Option([], metavar="KEY=VALUE", help="An override of `rsna train`. May be repeated."),
    folds: int = typer.Option(4, help="How many folds are made."),
    bundle: Path | None = typer.Option(None, help="Submit this one instead of what the rehearsed training gives."),
    hidden_patients: int = typer.Option(20, help="How many training patients are hidden where DIR has no hidden test."),
    folder: Path = typer.Option(Path(".rsna/rehearsal"), metavar="DIR", help="The rehearsal's own."),
    settings: Path = typer.Option(Path(".rsna/settings.yaml"), metavar="FILE", help="As `rsna init` writes them."),
    dirty: bool = typer.Option(False, "--dirty", help="Push the working tree instead of the last commit."),
    unsafe: bool = typer.Option(False, "--unsafe", help="Go on where this machine can make no sandbox; proves less."),
    profile: str = typer.Option("local", help="What Kaggle's image has; a .json file of `rsna doctor --live`."),
    vcpu_factor: float = typer.Option(1.5, help="How much longer Kaggle's processors take than a core here."),
) -> None:
    """Rehearse a stage, or all of them, on a Kaggle on this machine, with the same commands as on the real one.

    `all` leaves out what it has done before with the same code, data and options. After `submit` it says whether it
    runs offline, which wheels are missing, what memory, disk and time it takes, and when the hidden test would end.
    """
    from rsna.errors import InputError
    from rsna.kaggle.settings import read_settings
    from rsna.workflows.loop import Loop, Options
    from rsna.workflows.rehearse import Plan, rehearsal

    if stage not in STAGES:
        raise InputError(f"there is no stage {stage!r}; there are {', '.join(STAGES)}")
    options = Options(tuple(prepare), tuple(train), folds, bundle, vcpu_factor)
    plan = Plan(Path(), folder, read_settings(settings), data, hidden_patients, dirty, unsafe, profile)
    with rehearsal(plan, typer.echo) as on:
        loop = Loop(on, options)
        if stage == "all":
            loop.walk()
        else:
            loop.stage(stage)
