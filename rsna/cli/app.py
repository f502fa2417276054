"""The program `rsna`: finds the commands, turns errors into one line and an exit status."""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys
from collections.abc import Sequence

import typer

import rsna.cli
from rsna.errors import RsnaError
from rsna.log import setup_logging

app = typer.Typer(
    name="rsna",
    help="From code on a laptop to a scored Kaggle code-competition submission.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error.")) -> None:
    """From code on a laptop to a scored Kaggle code-competition submission."""
    setup_logging(verbose=debug)
    if debug:
        os.environ["RSNA_DEBUG"] = "1"


def register_commands() -> None:
    """Let every module of `rsna.cli` add its command. They import what is heavy only when they are run."""
    for module in sorted(pkgutil.iter_modules(rsna.cli.__path__), key=lambda m: m.name):
        if module.name != "app":
            importlib.import_module(f"rsna.cli.{module.name}").register(app)


register_commands()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 for success, 2 for a wrong input, 1 for a failure of the outside world."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is open is closed, also on a plain kill
    try:
        app(args=arguments, prog_name="rsna")
    except RsnaError as error:
        if os.environ.get("RSNA_DEBUG"):
            raise
        print(f"rsna: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        print("rsna: interrupted; run the same command again to go on", file=sys.stderr)  # noqa: T201
        sys.exit(130)


if __name__ == "__main__":
    main()
