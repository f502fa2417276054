"""`rsna image`: one file through the chain that prepares every image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import numpy as np

    from rsna.imaging import DicomImage


def image(
    file: Path = typer.Argument(metavar="FILE", help="A DICOM file, or a grey PNG."),
    out: Path | None = typer.Option(None, metavar="PNG|NPY", help="Write the picture; without it, say what FILE is."),
    raw: bool = typer.Option(False, "--raw", help="Write the stored values as they are."),
    height: int = typer.Option(1024, help="Rows of the picture, pixels."),
    width: int = typer.Option(512, help="Columns of the picture, pixels."),
    bits: int = typer.Option(8, help="8 or 16 bits per pixel."),
    roi: str = typer.Option("threshold", help="How the breast is found: threshold, otsu or none."),
    detector: Path | None = typer.Option(None, metavar="ONNX", help="Finds it first, where its score is at least 0.5."),
    voi: str = typer.Option("header", help="header: the file's VOI LUT or window; minmax: stretch what is there."),
    decode: str = typer.Option("reduced", help="reduced: JPEG 2000 only as finely as needed; full: all of it."),
    stretch: bool = typer.Option(False, "--stretch", help="Do not keep the proportions."),
) -> None:
    """Read an image and write its picture, or its stored values."""
    from rsna.config import ImagingSpec, load
    from rsna.imaging import RegionFinder, load_image, read_image

    values = {"height": height, "width": width, "bits": bits, "voi": voi, "decode": decode, "roi": {"method": roi}}
    spec = load(ImagingSpec, values | {"keep_aspect": not stretch}, "options")
    if out is None:
        typer.echo(_summary(file, read_image(file)))
        return
    finder = RegionFinder.of(detector) if detector is not None else None
    pixels = read_image(file).pixels if raw else load_image(file, spec, None, finder)
    _write(out, pixels)
    typer.echo(f"{out}: {pixels.shape[0]}x{pixels.shape[1]} {pixels.dtype}")


def _summary(file: Path, image: DicomImage) -> str:
    """What the header says, one fact a line."""
    from pydicom.uid import UID

    header = image.header
    windows = ", ".join(f"{window.center:g}/{window.width:g}" for window in header.windows)
    facts = {
        "size": f"{header.rows} x {header.columns} pixels, {header.photometric}",
        "bits": f"{header.bits_stored} of {header.bits_allocated}, {'signed' if header.signed else 'unsigned'}",
        "values": f"{image.pixels.min()} to {image.pixels.max()}",
        "syntax": f"{UID(header.transfer_syntax).name} ({header.transfer_syntax})",
        "modality": "a table" if header.modality_lut else f"slope {header.slope:g}, intercept {header.intercept:g}",
        "VOI": "a table" if header.voi_lut else f"{header.voi_function} {windows}" if windows else "none",
        "decoder": image.decoder,
    }
    return "\n".join([str(file), *(f"  {name:9}{fact}" for name, fact in facts.items())])


def _write(out: Path, pixels: np.ndarray) -> None:
    import numpy as np

    from rsna.errors import InputError
    from rsna.imaging import write_png
    from rsna.io import atomic_path

    if out.suffix == ".npy":
        with atomic_path(out) as part:
            np.save(part, pixels)
    elif out.suffix != ".png":
        raise InputError(f"cannot write {out}: the name must end in .png or .npy")
    elif pixels.dtype.itemsize > 2 or pixels.min() < 0:
        raise InputError(f"cannot write {out}: a PNG holds no {pixels.dtype} values; write an .npy file")
    else:
        write_png(out, pixels.astype(f"u{pixels.dtype.itemsize}"))


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("image")(image)
