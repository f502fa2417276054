"""`rsna kaggle push-model` and `pull-model`: the model bundle as a data set."""

from __future__ import annotations

from pathlib import Path

import typer


def push_model(
    bundle: Path = typer.Argument(..., metavar="BUNDLE", help="The folder that `rsna collect` wrote."),
) -> None:
    """Verify a bundle and push it as a data set, unless it is there; verify it there."""
    from rsna.inference.schema import read_spec
    from rsna.kaggle.model import push_model as push
    from rsna.kaggle.settings import read_settings

    done = push(read_settings(), bundle)
    said = "pushed" if done.pushed else "already there, nothing pushed"
    typer.echo(f"{done.ref} version {done.version}: digest {read_spec(bundle).digest}; {said}")


def pull_model(
    out: Path = typer.Option(Path("models/kaggle"), help="The folder that the bundle becomes."),
) -> None:
    """Download the bundle that is on Kaggle, and verify it."""
    from rsna.kaggle.model import pull_model as pull
    from rsna.kaggle.settings import read_settings

    typer.echo(f"{out} is whole: {pull(read_settings(), out).spec.digest}")


def register(app: typer.Typer) -> None:
    """Add the commands to the group `kaggle`, whose module comes before this one."""
    group = next(info.typer_instance for info in app.registered_groups if info.name == "kaggle")
    assert group is not None
    group.command("push-model")(push_model)
    group.command("pull-model")(pull_model)
