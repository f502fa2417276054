"""`rsna local-kaggle`: a Kaggle on this machine, for the unmodified `kaggle` client."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rsna.local_kaggle.execution import Runner

STATE = typer.Option(Path(".rsna/local-kaggle"), help="The folder that holds everything it remembers.")


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="A Kaggle on this machine, to rehearse on.")
    commands: dict[str, Callable[..., None]]
    commands = {"up": up, "down": down, "status": status, "env": env, "add-competition": add, "fault": fault}
    for name, command in commands.items():
        group.command(name)(command)
    app.add_typer(group, name="local-kaggle")


def up(
    port: int = typer.Option(8765, min=0, max=65535, help="On 127.0.0.1; 0 for any free one."),
    state: Path = STATE,
    user: str = typer.Option("", help="Whose Kaggle it is; settled when the state folder is made."),
    profile: str = typer.Option("local", help="What Kaggle's image has: `local`, or a .json file of your own."),
    unsafe: bool = typer.Option(False, "--unsafe", help="Run notebooks as plain processes, without a sandbox."),
    foreground: bool = typer.Option(False, "--foreground", help="Stay, and log to this terminal."),
) -> None:
    """Start the server. Stopped or killed, it goes on where it was."""
    runner = _runner(profile, unsafe)
    if foreground:
        from rsna.local_kaggle.server import serve

        serve(state, runner, user, port)
        return
    from rsna.local_kaggle.control import launch

    options = ["--state", str(state), "--port", str(port), "--user", user, "--profile", profile]
    options += ["--unsafe"] if unsafe else []
    connection = launch([sys.executable, "-m", "rsna.cli.app", "local-kaggle", "up", "--foreground", *options], state)
    typer.echo(f"the local Kaggle of {connection.user} runs on {connection.url}")
    if not connection.sandboxed:
        typer.echo("without a sandbox: notebooks run as your user, and no run proves that it works offline")
    typer.echo(f'now: eval "$(rsna local-kaggle env{"" if state == STATE.default else f" --state {state}"})"')


def _runner(profile: str, unsafe: bool) -> Runner:
    """The runner of notebooks; `RsnaError` where the sandbox does not work here, with what to do."""
    from rsna.local_kaggle.plain_runner import PlainRunner
    from rsna.local_kaggle.probe import check_sandbox
    from rsna.local_kaggle.profile import load_profile
    from rsna.local_kaggle.sandboxed_runner import SandboxedRunner

    if unsafe:
        return PlainRunner()
    runner = SandboxedRunner(load_profile(profile))
    check_sandbox(runner.image())
    return runner


def down(state: Path = STATE) -> None:
    """Stop the server."""
    from rsna.local_kaggle.control import stop

    typer.echo("stopped" if stop(state) else "it was not running")


def status(state: Path = STATE) -> None:
    """Say whether it runs and what it holds, with the reasons that Kaggle would keep to itself."""
    from rsna.local_kaggle.connection import find_server
    from rsna.local_kaggle.overview import overview
    from rsna.local_kaggle.store import Store

    connection = find_server(state)
    typer.echo(f"running on {connection.url}, user {connection.user}" if connection else "not running")
    for line in overview(Store(state)) if state.exists() else []:
        typer.echo(line)


def env(state: Path = STATE) -> None:
    """Print what makes a shell talk to it: eval "$(rsna local-kaggle env)"."""
    from rsna.local_kaggle.client_env import client_variables, dropped_variables
    from rsna.local_kaggle.control import need_server

    connection = need_server(state)
    for name in dropped_variables(connection, state, os.environ):
        typer.echo(f"unset {name}")
    for name, value in client_variables(connection, state).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def add(
    name: str = typer.Argument(help="What it is called here, for instance rsna-breast."),
    folder: Path = typer.Argument(help="Such as `rsna synth` makes, with hidden/.", exists=True, file_okay=False),
    competition: str = typer.Option("breast", help="Which competition checks and scores the submissions."),
    kind: str = typer.Option("", help="`code` or `file`: what it takes, where that is not what the competition takes."),
    state: Path = STATE,
) -> None:
    """Register a folder as a competition, also while the server runs."""
    from rsna.local_kaggle.competitions import add_competition
    from rsna.local_kaggle.store import Store

    add_competition(Store(state), name, folder, competition, kind)
    typer.echo(f"competition {name}: {folder}")


def fault(
    name: str = typer.Argument("", help="Which; without one they are listed."),
    values: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="method, status, body, message, times …"),
    off: bool = typer.Option(False, "--off", help="Switch it off; without a name, all of them."),
    state: Path = STATE,
) -> None:
    """Let something go wrong as it does on Kaggle, also while the server runs."""
    import yaml

    from rsna.errors import InputError
    from rsna.local_kaggle.faults import FAULTS, Faults
    from rsna.local_kaggle.store import Store

    faults = Faults(Store(state))
    if off:
        faults.switch_off(name or None)
    elif name:
        if bad := [value for value in values if "=" not in value]:
            raise InputError(f"{bad[0]!r} is not KEY=VALUE")
        pairs = (value.split("=", 1) for value in values)
        faults.switch_on(name, **{key: yaml.safe_load(value) for key, value in pairs})
    else:
        for known, text in FAULTS.items():
            typer.echo(f"{known:20} {text}")
