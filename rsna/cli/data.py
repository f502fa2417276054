"""`rsna data`: the competition's files, other people's data sets, and regions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

OVERRIDES = "How pictures are made, as of `rsna prepare`: data=breast_256 roi=otsu env.workers=4"


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="The competition's files, external data sets, and regions.")
    group.command("download")(download)
    group.command("import")(import_data)
    group.command("boxes")(boxes)
    group.command("label")(label_data)
    app.add_typer(group, name="data")


def download(
    tables: bool = typer.Option(False, "--tables", help="The tables only."),
    patients: int | None = typer.Option(None, "--patients", min=1, metavar="N", help="And the images of N patients."),
    everything: bool = typer.Option(False, "--all", help="And all images: 314 GB of the real competition."),
    out: Path | None = typer.Option(None, help="Default: data/<competition>."),
) -> None:
    """Download what is not there yet; interrupted, the same command goes on."""
    from rsna.errors import InputError
    from rsna.kaggle.competition_files import download_competition
    from rsna.kaggle.settings import read_settings

    if tables + (patients is not None) + everything != 1:
        raise InputError("say what to download: --tables, --patients N or --all")
    settings = read_settings()
    folder = out or Path("data") / settings.name
    fetched, kept = download_competition(settings, folder, patients or ("all" if everything else "tables"))
    typer.echo(f"{folder}: {fetched} files downloaded, {kept} were there")


def import_data(
    name: str = typer.Argument(..., metavar="SET", help="vindr, miniddsm, cmmd, cddcesm, bmcd, or folder."),
    overrides: list[str] = typer.Argument(None, metavar="OVERRIDES", help=OVERRIDES),
    raw: Path = typer.Option(..., "--raw", metavar="DIR", help="The set as it was downloaded."),
    out: Path | None = typer.Option(None, metavar="DIR", help="The prepared set. Default: prepared/SET."),
    label: list[str] = typer.Option([], "--label", metavar="KEY=VALUE", help="A choice about labels: birads4=soft."),
    table: Path | None = typer.Option(None, metavar="FILE", help="Of `folder`: which images there are."),
    source: str = typer.Option("", metavar="NAME", help="Of `folder`: it is an external set of this name."),
    shard: str = typer.Option("1/1", metavar="I/N", help="Handle only every N-th patient, for several machines."),
    limit: int | None = typer.Option(None, metavar="N", help="Only the first N images."),
) -> None:
    """Turn another data set into a prepared set, for training only. Run again after a kill, it goes on."""
    from dataclasses import replace

    from rsna.cli.prepare import list_failures
    from rsna.config import PrepareConfig
    from rsna.config.compose import compose
    from rsna.errors import InputError
    from rsna.preparation.external import SOURCES, import_external
    from rsna.preparation.external.folder import folder_source
    from rsna.preparation.prepare import prepare_source
    from rsna.preparation.shards import Shard

    if name not in (*SOURCES, "folder"):
        raise InputError(f"there is no set {name!r}; known: {', '.join(SOURCES)}, and folder for any other")
    if (name == "folder") != (table is not None) or (source and name != "folder") or (label and name == "folder"):
        raise InputError("`folder` needs --table and takes --source; the other sets take --label instead")
    out = out or Path("prepared") / (source or name)
    config, part = compose(PrepareConfig, "prepare", overrides or []), Shard.parse(shard)
    config = replace(config, env=replace(config.env, data=str(raw), prepared=str(out)))
    if table is not None:
        report = prepare_source(folder_source(raw, table, source), config, part, limit)
    else:
        report = import_external(name, raw, config, _choices(label), part, limit)
    typer.echo(f"{report.folder}: {report.images} pictures, {report.kept} of them from an earlier run")
    list_failures(report.failed)


def boxes(
    path: Path = typer.Argument(..., metavar="PATH", help="A table, a folder of YOLO labels, or COCO annotations."),
    out: Path = typer.Option(..., help="The table for `rsna prepare boxes=FILE`."),
    size: str | None = typer.Option(None, metavar="HxW", help="Of the pictures whose pixels a table counts."),
    transposed: bool = typer.Option(False, "--transposed", help="The table's x and y are exchanged."),
) -> None:
    """Convert regions to the one table that `rsna prepare` reads: fractions of the image's sides, by image id."""
    from rsna.preparation.box_formats import convert_boxes, parse_size
    from rsna.preparation.boxes import best_boxes
    from rsna.tables import write_csv

    table = best_boxes(convert_boxes(path, parse_size(size) if size else None, transposed), path)
    write_csv(out, table)
    typer.echo(f"{out}: {len(table)} boxes")


def label_data(
    bundle: Path = typer.Option(..., help="A model bundle, made by `rsna collect`."),
    prepared: Path = typer.Option(..., help="A prepared set, made by `rsna data import`."),
    out: Path = typer.Option(..., help="The table (.parquet) for external.pseudo_labels=FILE."),
    batch_size: int = typer.Option(16, help="Images per forward pass."),
    device: str = typer.Option("auto", help="auto, cpu, cuda."),
) -> None:
    """Predict the pictures of a prepared set with every member of a bundle: pseudo-labels for a training."""
    from rsna.data import PreparedSet
    from rsna.inference import Bundle
    from rsna.io import ensure_dir
    from rsna.preparation.label import predict_prepared
    from rsna.tables import write_parquet

    ensure_dir(out.parent)  # noticed before the work, not after it
    predictions = predict_prepared(Bundle.open(bundle), PreparedSet.open(prepared), device, batch_size)
    write_parquet(out, predictions)
    typer.echo(f"{out}: {len(predictions)} predictions")


def _choices(labels: list[str]) -> dict[str, Any]:
    """`key=value` options, with numbers as numbers."""
    from rsna.errors import InputError

    choices: dict[str, Any] = {}
    for text in labels:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--label {text!r} is not KEY=VALUE")
        try:
            choices[key] = float(value)
        except ValueError:
            choices[key] = value
    return choices
