"""`rsna prepare`: make the prepared data set, or merge the shards of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd


def prepare(
    arguments: list[str] = typer.Argument(
        None, metavar="OVERRIDES", help="Configuration, such as data=breast_256 env.data=DIR. With --merge: the shards."
    ),
    shard: str = typer.Option("1/1", metavar="I/N", help="Handle only every N-th patient, for several machines."),
    limit: int | None = typer.Option(None, metavar="N", help="Only the first N images of the table."),
    merge: bool = typer.Option(False, "--merge", help="Merge the folders named as arguments into --out."),
    out: Path | None = typer.Option(None, help="The merged set."),
) -> None:
    """Turn the competition's images into pictures of one size, in parallel. Run again after a kill, it goes on."""
    from rsna.errors import InputError

    if merge != (out is not None):
        raise InputError("--merge and --out go together: rsna prepare --merge SHARD... --out DIR")
    if merge and (shard != "1/1" or limit is not None):
        raise InputError("--merge takes whole shards; leave out --shard and --limit")
    if out is not None:
        _merge(arguments or [], out)
    else:
        _prepare(arguments or [], shard, limit)


def _prepare(overrides: list[str], shard: str, limit: int | None) -> None:
    from rsna.config import PrepareConfig
    from rsna.config.compose import compose
    from rsna.preparation.prepare import prepare as run
    from rsna.preparation.shards import Shard

    report = run(compose(PrepareConfig, "prepare", overrides), Shard.parse(shard), limit)
    typer.echo(f"{report.folder}: {report.images} pictures, {report.kept} of them from an earlier run")
    list_failures(report.failed)


def _merge(folders: list[str], out: Path) -> None:
    from rsna.preparation.shards import merge_shards

    table, failed = merge_shards([Path(folder) for folder in folders], out)
    typer.echo(f"{out}: {len(table)} pictures")
    list_failures(failed)


def list_failures(failed: pd.DataFrame, shown: int = 5) -> None:
    """Say loudly which images are missing from the set, the first ones by name."""
    if failed.empty:
        return
    typer.secho(f"{len(failed)} images FAILED and are not in the set; failed*.csv lists them:", fg="red", err=True)
    for path, reason in failed[["path", "reason"]].head(shown).itertuples(index=False):
        typer.echo(f"  {path}: {reason}", err=True)
    if len(failed) > shown:
        typer.echo(f"  and {len(failed) - shown} more", err=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("prepare")(prepare)
