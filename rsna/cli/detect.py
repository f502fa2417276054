"""`rsna detect`: a detector that finds the region of an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rsna.preparation.detection.regions import Losses

DETECTOR = "The folder of a run, its ONNX export, or a YOLOX network of 416 pixels (.onnx)."
IMAGES = "The folder of the images, with all that is below it."
WORKERS = "Processes that decode; -1 for one per core."
MOST = 5  # failures that are named


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="A detector that finds the region of an image.")
    for command in (train, predict, export, truth):
        group.command(command.__name__)(command)
    group.command("eval")(evaluate)
    app.add_typer(group, name="detect")


def train(
    overrides: list[str] = typer.Argument(None, help="Hydra overrides; images=DIR and boxes=FILE are needed."),
) -> None:
    """Train a detector on boxes; the same command again goes on where it was stopped."""
    from rsna.config.compose import compose
    from rsna.config.detector import DetectConfig
    from rsna.training.detection import train_detector

    for name, value in train_detector(compose(DetectConfig, "detect", overrides or [])).items():
        typer.echo(f"{name:8} {value:.4f}")


def evaluate(
    detector: Path = typer.Argument(..., help=DETECTOR),
    images: Path = typer.Option(..., metavar="DIR", help=IMAGES),
    boxes: Path = typer.Option(..., metavar="FILE", help="The true boxes, a table of `rsna data boxes`."),
    lesions: Path | None = typer.Option(None, metavar="FILE", help="Boxes of what a region must not lose."),
    score: float = typer.Option(0.5, min=0, max=1, help="A box of less is distrusted, as box_score of rsna prepare."),
    workers: int = typer.Option(-1, help=WORKERS),
) -> None:
    """Average precision (COCO) of a detector's boxes, and lesions lost by its regions and by thresholding's."""
    from rsna.preparation.detection.evaluate import evaluate as run
    from rsna.preparation.detection.evaluate import read_truth
    from rsna.preparation.detection.networks import load_detector

    found = run(load_detector(detector), read_truth(images, boxes, lesions), score, workers)
    for name, value in found.precision.items():
        typer.echo(f"{name:8} {value:.4f}")
    typer.echo(f"{found.distrusted} of {found.images} images are left to thresholding")
    for name, losses in (("detector", found.detector), ("threshold", found.threshold)):
        if losses is not None:
            _report(name, losses)


def _report(name: str, losses: Losses) -> None:
    typer.echo(
        f"{name:10} loses {losses.lost} of {losses.lesions} lesions ({losses.lost_alone} that the other keeps),"
        f" cuts {losses.cut} ({losses.cut_alone} that the other keeps whole)"
    )


def predict(
    detector: Path = typer.Argument(..., help=DETECTOR),
    images: Path = typer.Option(..., metavar="DIR", help=IMAGES),
    out: Path = typer.Option(..., metavar="FILE", help="The table for `rsna prepare boxes=FILE`."),
    workers: int = typer.Option(-1, help=WORKERS),
) -> None:
    """Write the best box of each image of a folder; the same command again goes on where it was stopped."""
    from rsna.preparation.detection.networks import load_detector
    from rsna.preparation.detection.predict import predict_boxes

    report = predict_boxes(load_detector(detector), images, out, workers)
    typer.echo(f"{out}: {report.boxes} boxes; {report.without} images have none")
    if len(report.failed):
        typer.secho(f"{len(report.failed)} images FAILED and have no box:", fg="red", err=True)
        for path, reason in report.failed.head(MOST).itertuples(index=False):
            typer.echo(f"  {path}: {reason}", err=True)


def export(
    run: Path = typer.Argument(..., help="The folder of a run of rsna detect train."),
    out: Path = typer.Option(..., metavar="FILE", help="The ONNX file, for `rsna prepare boxes=FILE`."),
) -> None:
    """Write a trained detector as an ONNX file, after checking it against torch."""
    from rsna.export.detector import export_detector

    typer.echo(f"{out}: differs from torch by at most {export_detector(run, out):.1e}")


def truth(
    competition: Path = typer.Argument(..., help="The folder of a competition of rsna synth."),
    out: Path = typer.Option(..., metavar="DIR", help="Gets boxes.csv and lesions.csv."),
) -> None:
    """Write where the breasts and the lesions of a synthetic competition lie."""
    from rsna.synthetic.truth import write_truth

    boxes, lesions = write_truth(competition, out)
    typer.echo(f"{out}: {boxes} boxes, {lesions} lesions")
