"""`rsna kaggle`: what a laptop does with Kaggle, verified after every write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

KERNEL = typer.Argument(metavar="KERNEL", help="prepare, train, library, submit; or owner/slug.")


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Code, kernels and data sets on Kaggle.")
    commands: dict[str, Callable[..., None]] = {
        "push-code": push_code,
        "run": run,
        "follow": follow,
        "publish": publish,
        "push-credentials": push_credentials,
    }
    for name, command in commands.items():
        group.command(name)(command)
    app.add_typer(group, name="kaggle")


def push_code(
    dirty: bool = typer.Option(False, "--dirty", help="The working tree instead of the last commit, marked."),
) -> None:
    """Push the code as a data set, unless the same content is there, and render the kernels' metadata."""
    from rsna.kaggle.code import describe_build
    from rsna.kaggle.code import push_code as push
    from rsna.kaggle.metadata import write_all_metadata
    from rsna.kaggle.settings import read_settings

    settings = read_settings()
    code = push(settings, Path(), dirty)
    write_all_metadata(Path(), settings)
    said = "pushed" if code.pushed else "already there, nothing pushed"
    typer.echo(f"{code.ref} version {code.version}: {describe_build(code.build)}; {said}")


def run(
    kind: str = typer.Argument(metavar="KERNEL", help="prepare, train, library or submit."),
    overrides: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="A Hydra override. May be repeated."),
    shard: str = typer.Option("1/1", metavar="I/N", help="Prepare only every N-th patient."),
    folds: int = typer.Option(4, help="How many to train on where the prepared set brings none."),
    resume: bool = typer.Option(False, "--resume", help="Go on with what the last training left."),
    bundle: Path | None = typer.Option(None, help="The local bundle that the one on Kaggle must be."),
    push: bool = typer.Option(False, "--push", help="Push the committed code first, if Kaggle has other code."),
    fetch: bool = typer.Option(True, "--fetch/--no-fetch", help="Fetch everything that the run writes."),
    timeout: int = typer.Option(12 * 3600, metavar="SECONDS", help="Kaggle ends the run after this."),
) -> None:
    """Push a kernel, follow the run, fetch its output to .rsna/kernels. The exit status is the run's."""
    from rsna.kaggle.request import RunRequest
    from rsna.kaggle.run import finish_run, start_run
    from rsna.kaggle.settings import read_settings

    request = RunRequest(kind, tuple(overrides), shard, folds, resume, bundle, timeout)
    started = start_run(read_settings(), Path(), request, push)
    typer.echo(f"{started.ref} {started.label}: {started.url}")
    folder = finish_run(started, kind, _echo_log, timeout, fetch)
    typer.echo(f"{started.ref} {started.label} is complete; its output: {folder}")


def follow(
    kernel: str = KERNEL,
    version: int = typer.Option(0, min=0, help="Which run; the newest unless given."),
    fetch: bool = typer.Option(True, "--fetch/--no-fetch", help="Fetch everything that the run writes."),
) -> None:
    """Take up a run that nobody follows any more; it ends as `rsna kaggle run` would have ended."""
    from rsna.kaggle.request import SESSION_S
    from rsna.kaggle.run import find_run, finish_run, kernel_ref
    from rsna.kaggle.settings import read_settings

    ref, kind = kernel_ref(read_settings(), kernel)
    found = find_run(ref, version)
    folder = finish_run(found, kind, _echo_log, SESSION_S, fetch)
    typer.echo(f"{found.ref} {found.label} is complete; its output: {folder}")


def publish(
    kernel: str = KERNEL,
    slug: str = typer.Option("", "--as", metavar="SLUG", help="Of the data set; prepare and library have their own."),
    version: int = typer.Option(0, min=0, help="Which run's output; the newest that ended well unless given."),
) -> None:
    """Turn a kernel's output into a data set and wait until it is ready; shards of prepare are merged."""
    from rsna.kaggle.publish import publish_output
    from rsna.kaggle.settings import read_settings

    ref, number = publish_output(read_settings(), kernel, slug, version)
    typer.echo(f"{ref} version {number} is ready")


def push_credentials(
    file: Path = typer.Argument(help="A service-account key that may write to the bucket.", exists=True),
) -> None:
    """Push the key of the bucket as a private data set, which the training kernel is then given."""
    from rsna.kaggle.credentials import push_credentials as push
    from rsna.kaggle.settings import read_settings

    ref, number = push(read_settings(), Path(), file)
    typer.echo(f"{ref} version {number} is ready, and private")


def _echo_log(text: str) -> None:
    typer.echo(text, nl=False)
