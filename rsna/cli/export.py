"""`rsna export`: the models of a bundle for another runtime."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer


class Kind(StrEnum):
    """A runtime."""

    onnx = "onnx"
    openvino = "openvino"
    tensorrt = "tensorrt"


def export(
    folder: Path = typer.Argument(..., metavar="BUNDLE", help="The folder that `rsna collect` wrote."),
    to: list[Kind] = typer.Option(..., help="onnx, openvino (CPUs), tensorrt (on the GPU it is for). May be repeated."),
    batch_size: int = typer.Option(16, min=1, help="The most pictures of a pass through a TensorRT plan."),
) -> None:
    """Add engines to a bundle: all folds as one, compared with torch. The bundle's digest changes."""
    from rsna.export import export_bundle

    bundle = export_bundle(folder, [kind.value for kind in to], batch_size)
    for engine in bundle.spec.engines:
        typer.echo(f"{engine.kind:18}{', '.join(engine.files)}: at most {engine.distance:.1e} from torch")
    typer.echo(f"{'digest':18}{bundle.spec.digest}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)
