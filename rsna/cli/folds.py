"""`rsna folds`: split the training images by patient."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd


def folds(
    table: Path | None = typer.Option(None, metavar="CSV", help="The competition's training table."),
    prepared: Path | None = typer.Option(None, metavar="DIR", help="Or a prepared data set."),
    competition: str = typer.Option("breast", help="Whose table; a prepared data set knows its own."),
    folds: int = typer.Option(4, metavar="N", help="How many."),
    seed: int = typer.Option(0, min=0, help="Another seed, other folds."),
    out: Path | None = typer.Option(None, metavar="CSV", help="Default: folds.csv here, or in the prepared data set."),
) -> None:
    """Split by patient into folds that are alike, and say what each holds. Writes the columns image_id, fold."""
    from rsna.competitions import create_competition
    from rsna.errors import InputError
    from rsna.preparation.folds import make_folds
    from rsna.tables import write_csv

    if (table is None) == (prepared is None):
        raise InputError("say what to split: either --table train.csv or --prepared DIR")
    if prepared is not None:
        competition, images = _open(prepared)
    rules = create_competition(competition)
    if table is not None:
        images = rules.read_train(table)
    split = make_folds(rules, images, folds, seed)
    target = out or (prepared or Path()) / "folds.csv"
    write_csv(target, split)
    typer.echo(_aligned(rules.fold_report(images.assign(fold=split["fold"]))))
    typer.echo(f"\n{target}: {len(split)} images in {folds} folds")


def _open(prepared: Path) -> tuple[str, pd.DataFrame]:
    """The competition and the image table of a prepared data set; an older split in it may be broken."""
    from rsna.data.prepared import TABLE_FILE, PreparedSpec
    from rsna.data.table import check_image_table
    from rsna.tables import read_parquet

    competition = PreparedSpec.read(prepared).competition
    return competition, check_image_table(read_parquet(prepared / TABLE_FILE), str(prepared / TABLE_FILE))


def _aligned(report: pd.DataFrame) -> str:
    """A report with a column for each fold."""
    texts = report.apply(lambda column: column.map(lambda value: _cell(str(column.name), value)))
    texts.columns = [str(name).replace("_", " ") for name in texts.columns]
    return texts.T.rename_axis(None).rename_axis("fold", axis=1).to_string()


def _cell(name: str, value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1%}" if name.endswith("_share") else f"{value:.1f}"
    return str(value) or "-"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("folds")(folds)
