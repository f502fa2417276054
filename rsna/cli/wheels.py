"""`rsna wheels`: what the submission has to bring along, since the internet is off then."""

from __future__ import annotations

from pathlib import Path

import typer

FOLDER = Path("offline_wheels")
PROFILE = typer.Option("local", help="What the image has: a profile's name or a .json file of `rsna doctor`.")


def build(
    python: str = typer.Option("", help="Of the image, such as 3.12; this one's unless given."),
    platform: str = typer.Option("", help="Of the image, such as manylinux_2_28_x86_64; this machine's unless given."),
    out: Path = typer.Option(FOLDER, help="The folder of wheels."),
    profile: str = PROFILE,
) -> None:
    """Download or build the wheels of offline_wheels/requirements.txt, and write lock.json beside them."""
    from rsna.workflows.wheels import build as run

    for row in run(Path(), out, python, platform, profile):
        typer.echo(f"{row['size'] / 1e6:8.1f} MB  {row['file']}")
    typer.echo(f"{out}/lock.json; prove them with `rsna wheels check {out}`")


def check(
    folder: Path = typer.Argument(FOLDER, metavar="[DIR]", help="With lock.json."),
    profile: str = PROFILE,
) -> None:
    """Check hashes, tags and dependencies; install offline beside the image's packages and import the submit path."""
    from rsna.workflows.wheels import check as run

    checked = run(Path(), folder, profile)
    if checked.unproven:
        typer.echo(f"{folder}: {checked.wheels} wheels fit together. Not proven: {checked.unproven}")
    else:
        names = ", ".join(checked.installed) or "none"
        typer.echo(f"{folder}: {checked.wheels} wheels carry the submit path offline; the image lacks {names}")


def push(folder: Path = typer.Argument(FOLDER, metavar="[DIR]", help="With lock.json.")) -> None:
    """Push the wheels as a data set, unless they are there; see that they arrive whole."""
    from rsna.kaggle.settings import read_settings
    from rsna.kaggle.wheels import push_wheels

    done = push_wheels(read_settings(), folder)
    said = "pushed" if done.pushed else "already there, nothing pushed"
    typer.echo(f"{done.ref} version {done.version}: {said}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(name="wheels", help="Wheels for the submission with the internet off.", no_args_is_help=True)
    group.command("build")(build)
    group.command("check")(check)
    group.command("push")(push)
    app.add_typer(group)
