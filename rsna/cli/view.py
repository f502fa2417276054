"""`rsna view`: what the chain sees in one file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rsna.imaging import DicomImage, LoadedImage

FRAME_SIZE = 1024  # pixels: the full frame is shown in at most this


def view(
    file: Path = typer.Argument(metavar="FILE", help="A DICOM file, or a grey PNG."),
    overrides: list[str] = typer.Argument(None, metavar="[OVERRIDE]...", help="As of rsna prepare: data=… roi=otsu …"),
    out: Path | None = typer.Option(None, metavar="PNG", help="Write the picture instead of showing it."),
    predictions: Path | None = typer.Option(None, metavar="PARQUET", help="Put the image's prediction in the title."),
) -> None:
    """Show an image with the region that is kept, and the prepared picture beside it."""
    from matplotlib import pyplot

    from rsna.config import PrepareConfig
    from rsna.config.compose import compose
    from rsna.errors import InputError
    from rsna.imaging import RegionFinder, load_steps, read_image
    from rsna.io import atomic_path

    if out is None and not _has_display():
        raise InputError("there is no display here; write the picture with --out FILE.png")
    if out is not None and out.suffix != ".png":
        raise InputError(f"cannot write {out}: the name must end in .png")
    config = compose(PrepareConfig, "prepare", overrides or ())
    finder = RegionFinder.of(config.detector, config.box_score) if config.detector else None
    title = file.name if predictions is None else f"{file.name}   {_prediction(predictions, file.stem)}"
    figure = _draw(read_image(file), load_steps(file, config.data.imaging, None, finder), title)
    if out is None:
        pyplot.show()
        return
    with atomic_path(out) as part:
        figure.savefig(part)
    pyplot.close(figure)
    typer.echo(str(out))


def _has_display() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _draw(image: DicomImage, loaded: LoadedImage, title: str) -> Figure:
    """The full frame with its region on the left, the picture on the right."""
    from matplotlib import pyplot
    from matplotlib.patches import Rectangle

    from rsna.imaging import render, resize

    header, pixels, box = image.header, image.pixels, loaded.box
    scale = min(1.0, FRAME_SIZE / max(pixels.shape))
    frame = render(resize(pixels, *(max(1, round(side * scale)) for side in pixels.shape)), header, "header", 8)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 9), layout="constrained")
    figure.suptitle(title)
    left.imshow(frame, cmap="gray", extent=(0, header.columns, header.rows, 0))
    left.add_patch(Rectangle((box.left, box.top), box.width, box.height, fill=False, edgecolor="tab:orange", lw=2))
    left.set_title(f"{header.rows} x {header.columns}, {header.bits_stored} bits, {header.photometric}")
    right.imshow(loaded.picture, cmap="gray", vmin=0)
    right.set_title(f"kept {box.height} x {box.width} → {loaded.picture.shape[0]} x {loaded.picture.shape[1]}")
    return figure


def _prediction(table: Path, image_id: str) -> str:
    """The mean prediction of an image over members and augmentations, with its target where that is known."""
    from rsna.errors import InputError
    from rsna.tables import read_parquet

    rows = read_parquet(table)
    rows = rows[rows["image_id"].astype(str) == image_id]
    if rows.empty:
        raise InputError(f"{table} has no prediction of the image {image_id}")
    names = [name for name in rows.columns if name.startswith(("pred_", "target_"))]
    return ", ".join(f"{name} {rows[name].mean():.3f}" for name in names)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("view")(view)
