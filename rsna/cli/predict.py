"""`rsna predict`: from a bundle and a folder of images to a checked submission."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rsna.inference import PredictOptions


class Engine(StrEnum):
    """What runs the models; `rsna export` makes all but torch."""

    auto = "auto"
    torch = "torch"
    onnx = "onnx"
    openvino = "openvino"
    tensorrt = "tensorrt"


class Split(StrEnum):
    """Which images of a competition."""

    test = "test"
    train = "train"


def predict(
    bundle: Path = typer.Option(..., help="A bundle, made by `rsna collect`, or an ensemble of them."),
    data: Path = typer.Option(..., help="The competition's folder: test.csv, sample_submission.csv, test_images/."),
    out: Path = typer.Option(
        Path("submission.csv"), help="The submission, or with --split train the table (.parquet) of predictions."
    ),
    split: Split = typer.Option(Split.test, help="`train` checks that the bundle reproduces its own OOF predictions."),
    fold: list[int] = typer.Option([], help="With --split train: only this validation fold. May be repeated."),
    threshold: float | None = typer.Option(None, help="Call positive above this, not above the bundle's threshold."),
    probability: bool = typer.Option(False, "--probability", help="Write probabilities, not calls."),
    tta: list[str] = typer.Option([], help="none, hflip, scale_90 …, instead of the bundle's. May be repeated."),
    workers: int = typer.Option(-1, help="Decoding processes; -1 for one per core."),
    batch_size: int = typer.Option(16, help="Images per forward pass."),
    device: str = typer.Option("auto", help="auto, cpu, cuda."),
    engine: Engine = typer.Option(
        Engine.auto, help="auto: the fastest of the bundle's engines that agrees with torch within 1e-3."
    ),
    amp: bool = typer.Option(False, "--amp", help="Mixed precision: faster on a GPU, slightly different."),
    time_limit: str = typer.Option(
        "", help="Seconds, or something like 8h30m; what is not done by then is filled in. On Kaggle 8h30m."
    ),
) -> None:
    """Predict a folder of images and write a submission that fits its sample."""
    from rsna.errors import InputError
    from rsna.inference import PredictOptions, predict_supervised
    from rsna.inference.budget import parse_duration
    from rsna.inference.ensemble import Ensemble, is_ensemble
    from rsna.inference.predict_ensemble import predict_ensemble

    limit = parse_duration(time_limit) if time_limit else None
    options = PredictOptions(workers, batch_size, device, tuple(tta), amp, limit, engine.value)
    if split is Split.train:
        if threshold is not None or probability or tta or time_limit:
            raise InputError(
                "--threshold, --probability, --tta and --time-limit are for test images, not for --split train"
            )
        _predict_train(bundle, data, out, fold, options)
        return
    if fold:
        raise InputError("--fold chooses a validation fold of the training images; add --split train")
    if is_ensemble(bundle):
        report = predict_ensemble(Ensemble.open(bundle), data, out, threshold, probability, options)
    else:
        report = predict_supervised(bundle, data, out, threshold, probability, options)
    typer.echo(
        f"{out}: {report['units']} units from {report['images']} images in {report['seconds']:.0f} s;"
        f" {report['filled']} filled in, see {out.with_name('predict_report.json')}"
    )


def _predict_train(folder: Path, data: Path, out: Path, folds: list[int], options: PredictOptions) -> None:
    from rsna.inference import Bundle, check_oof, predict_oof
    from rsna.io import ensure_dir
    from rsna.tables import write_parquet

    bundle = Bundle.open(folder)
    ensure_dir(out.parent)  # noticed before the work, not after it
    predictions = predict_oof(bundle, data, folds, options)
    write_parquet(out, predictions)
    distance = check_oof(bundle, predictions)
    typer.echo(
        f"{out}: {len(predictions)} predictions, at most {distance:.1e} from the bundle's out-of-fold predictions"
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("predict")(predict)
