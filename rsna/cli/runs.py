"""`rsna runs push|pull|ui`: MLflow runs to and from a bucket, and all of them in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rsna.tracking.storage import BucketFolder

BUCKET = typer.Option("", metavar="NAME", help="Instead of the bucket of the settings.")
PREFIX = typer.Option("", metavar="FOLDER", help="Instead of the folder in the bucket of the settings.")
RUNS = "mlruns"  # the folder in which MLflow's file store lies
CREDENTIALS = typer.Option(None, metavar="JSON", help="A service-account key, instead of this machine's credentials.")


def push(
    folder: Path = typer.Argument(Path("mlruns"), help="A folder of runs, as a kernel writes it."),
    bucket: str = BUCKET,
    prefix: str = PREFIX,
    credentials: Path | None = CREDENTIALS,
) -> None:
    """Mirror a folder of runs to gs://BUCKET/PREFIX/mlruns: what is new or changed. Nothing there is deleted."""
    from rsna.errors import RsnaError
    from rsna.tracking.mirror import push_runs

    target = _target(bucket, prefix, credentials)
    report = push_runs(folder, target)
    typer.echo(f"{target}: {len(report.sent)} files sent")
    if report.waiting:
        raise RsnaError(f"{len(report.waiting)} files are still being written, such as {report.waiting[0]}; push again")


def pull(
    kernels: list[str] = typer.Option(
        [], "--kernel", metavar="KERNEL", help="The newest output of `train`, or owner/slug, instead of the bucket."
    ),
    version: int = typer.Option(0, min=0, help="Of the kernel; the newest that ended well unless given."),
    folders: list[Path] = typer.Option([], "--from", metavar="DIR", help="A fetched output, instead of the bucket."),
    bucket: str = BUCKET,
    prefix: str = PREFIX,
    credentials: Path | None = CREDENTIALS,
) -> None:
    """Bring the runs of the bucket, or of kernels' outputs, into mlflow.db here, where `mlflow ui` shows them."""
    from collections import Counter

    from rsna.errors import RsnaError
    from rsna.tracking.pull import pull_runs

    outputs = [*folders, *(_fetch(kernel, version) for kernel in kernels)]
    source = None if outputs and not bucket else _target(bucket, prefix, credentials)
    report = pull_runs(source, outputs)
    runs = ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(report.runs.values()).items()))
    typer.echo(f"{len(report.taken)} files taken; runs: {runs or 'none'}")
    if report.failed:
        name, reason = next(iter(report.failed.items()))
        raise RsnaError(f"{len(report.failed)} files did not arrive, such as {name}: {reason}; pull again")


def ui(port: int = typer.Option(5000, help="Port on this machine.")) -> None:
    """Open MLflow's pages on mlflow.db here: local and pulled runs."""
    import os
    import subprocess
    import sys

    from rsna.errors import RsnaError
    from rsna.tracking.store import store_uri

    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store_uri(), "--port", str(port)]
    status = subprocess.call(command, env={"MLFLOW_DISABLE_TELEMETRY": "true", **os.environ})
    if status:
        raise RsnaError(f"mlflow ui ended with exit status {status}")


def _fetch(kernel: str, version: int) -> Path:
    """Fetch the runs that a kernel has left in its output; the folder they are in."""
    from pathlib import PurePosixPath

    from rsna.kaggle.run import fetch_newest
    from rsna.kaggle.settings import read_settings

    return fetch_newest(read_settings(), kernel, version, lambda path: RUNS in PurePosixPath(path).parts)


def _target(bucket: str, prefix: str, credentials: Path | None) -> BucketFolder:
    from rsna.errors import InputError
    from rsna.kaggle.settings import SETTINGS_FILE, read_settings
    from rsna.tracking.storage import runs_folder

    if not bucket:
        settings = read_settings()
        bucket, prefix = settings.bucket, prefix or settings.prefix
        if not bucket:
            raise InputError(
                f"{SETTINGS_FILE} names no bucket; set it, or give --bucket, or pull a kernel's output: --kernel train"
            )
    return runs_folder(bucket, prefix, credentials)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    runs = typer.Typer(no_args_is_help=True, help="MLflow runs to and from a bucket, and all of them in a browser.")
    for command in (push, pull, ui):
        runs.command()(command)
    app.add_typer(runs, name="runs")
