"""One self-contained folder about what a training or a bundle is worth, and how to choose on it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rsna.competitions.metrics import binary_metrics
from rsna.competitions.thresholds import ThresholdReport, report_thresholds
from rsna.config import dump
from rsna.ensembling.aggregator import compare_aggregations
from rsna.ensembling.calibration import compare_calibrations, fit_temperature, reliability
from rsna.errors import InputError
from rsna.io import ensure_dir, write_json, write_text
from rsna.plots.after import plot_calibration, plot_cuts, plot_groups
from rsna.plots.scores import plot_precision_recall, plot_roc, plot_score_histogram, plot_threshold
from rsna.tables import write_csv
from rsna.workflows.checkpoints import HINT, candidates, compare_selections, describe
from rsna.workflows.report_subject import Subject, image_table, read_subject, scored_units
from rsna.workflows.runs import FinishedRun

logger = logging.getLogger(__name__)

REPORT_FILE = "report.md"
GROUPS = ("site_id", "machine_id", "view", "implant")  # columns of an image table, where it has them
FIGURES = "figures"


def write_report(source: Path, out: Path, prepared: Path | None = None, by: Sequence[str] = GROUPS) -> Path:
    """Write the report of a training or a bundle.

    Args:
        source: `runs/NAME`, one of its folds, or the folder of a bundle.
        out: The folder of the report; what an earlier report left there is replaced.
        prepared: The prepared set, for patients, sites and machines; the configuration's unless given. Without it the
            report says what it lacks.
        by: Columns of its image table by which units are grouped.

    Returns:
        `report.md`.

    Raises:
        InputError: As `read_subject`; also without positives.
    """
    subject = read_subject(source)
    table = image_table(prepared or Path(subject.prepared), required=prepared is not None)
    units = scored_units(subject, table, by)
    ensure_dir(out / FIGURES)
    truth, score = units[f"target_{subject.target}"], units[f"pred_{subject.target}"]
    groups = units["group_id"] if "group_id" in units else units["prediction_id"]
    cuts = report_thresholds(truth, score, groups.tolist())
    threshold = cuts.best.value if subject.threshold is None else subject.threshold
    sections = [
        f"# {subject.title}",
        _scores(subject, units, threshold),
        _aggregations(subject, out),
        _thresholds(cuts, "group_id" in units, threshold, out),
        _grouped(units, [column for column in by if column in units], subject.target, threshold, out),
        _calibration(units, subject.target, out),
        _selection(subject.runs, table, out),
        _figures(subject, units, cuts, out),
    ]
    write_text(out / REPORT_FILE, "\n\n".join(section for section in sections if section) + "\n")
    return out / REPORT_FILE


def _scores(subject: Subject, units: pd.DataFrame, threshold: float) -> str:
    """All metrics per fold and over all folds, at one threshold."""
    rows = {f"fold {fold}": _metrics(part, subject.target, threshold) for fold, part in units.groupby("row_fold")}
    rows["all"] = _metrics(units, subject.target, threshold)
    return f"## Scores per unit, calls above {threshold:.4g}\n\n{_markdown(pd.DataFrame(rows).T, 'fold')}"


def _metrics(units: pd.DataFrame, target: str, threshold: float) -> dict[str, float]:
    truth, score = units[f"target_{target}"], units[f"pred_{target}"]
    counts = {"units": float(truth.notna().sum()), "positives": float((truth > 0.5).sum())}
    return counts | binary_metrics(truth, score, threshold)


def _aggregations(subject: Subject, out: Path) -> str:
    table = compare_aggregations(subject.competition, subject.oof)
    write_csv(out / "aggregations.csv", table.reset_index(names="aggregation"))
    lines = "`learned` was fitted on the other folds each time; `rsna collect --aggregation` takes any of them."
    return f"## From images to units\n\n{_markdown(table, 'aggregation')}\n\n{lines}"


def _thresholds(cuts: ThresholdReport, patients: bool, threshold: float, out: Path) -> str:
    write_json(
        out / "thresholds.json", dump(cuts) | {"in_use": threshold, "drawn": "patients" if patients else "units"}
    )
    rows = pd.DataFrame([dump(cut) for cut in cuts.cuts]).set_index("rule")
    ranges = [(cut.score_low, cut.score_high) for cut in cuts.cuts]
    plot_cuts(out / FIGURES / "thresholds.png", list(rows.index), rows["f1"].tolist(), ranges)
    drawn = f"{cuts.groups} {'patients' if patients else 'units (patients are unknown)'}"
    return "\n\n".join(
        [
            "## Thresholds",
            f"The best is {cuts.best.value:.4f} with F1 {cuts.best.score:.4f}; from {cuts.best.low:.4f} to"
            f" {cuts.best.high:.4f} it is as good within 0.01.",
            f"{cuts.draws} times {drawn} were drawn again: in 90 % of the draws the best threshold lies between"
            f" {cuts.low:.4f} and {cuts.high:.4f} and scores {cuts.score_low:.4f} to {cuts.score_high:.4f} there."
            f" A threshold that was chosen on one draw scores {cuts.expected:.4f} here on average.",
            _markdown(rows, "rule"),
            "![thresholds](figures/thresholds.png)",
        ]
    )


def _grouped(units: pd.DataFrame, columns: Sequence[str], target: str, threshold: float, out: Path) -> str:
    tables = {}
    for column in columns:
        parts = {str(value): _group(part, target, threshold) for value, part in units.groupby(column, dropna=False)}
        tables[column] = pd.DataFrame(parts).T
        write_csv(out / f"by_{column}.csv", tables[column].reset_index(names=column))
    if not tables:
        return "## Groups\n\nSites and machines are unknown without the prepared set."
    plot_groups(out / FIGURES / "groups.png", tables, "auc")
    texts = [f"### By {column}\n\n{_markdown(table, column)}" for column, table in tables.items()]
    note = "`f1` is at the common threshold, `best_f1` at the group's own `threshold`: where they are far apart, one"
    return "\n\n".join(["## Groups", f"{note} threshold does not fit all.", *texts, "![groups](figures/groups.png)"])


def _group(units: pd.DataFrame, target: str, threshold: float) -> dict[str, float]:
    found = _metrics(units, target, threshold)
    names = ("units", "positives", "auc", "ap", "best_f1", "threshold", "f1", "precision", "recall")
    return {name: found[name] for name in names}


def _calibration(units: pd.DataFrame, target: str, out: Path) -> str:
    known = units.dropna(subset=[f"target_{target}", f"pred_{target}"])
    truth = (known[f"target_{target}"].to_numpy() > 0.5).astype(np.float64)
    methods = compare_calibrations(known, target)
    curves = {found.method: reliability(truth, found.predictions) for found in methods}
    plot_calibration(out / FIGURES / "calibration.png", curves)
    columns = {"log_loss": "log loss", "brier": "Brier score", "error": "calibration error"}
    rows = pd.DataFrame(
        {found.method: {text: getattr(found, name) for name, text in columns.items()} for found in methods}
    ).T
    temperature = fit_temperature(truth, known[f"pred_{target}"].to_numpy(np.float64))
    curve = pd.concat([table.assign(method=name) for name, table in curves.items()], ignore_index=True)
    write_csv(out / "calibration.csv", curve)
    text = f"Each unit is calibrated by the other folds. On all folds the temperature is {temperature:.3f}"
    sense = "the model is too sure of itself" if temperature > 1 else "the model is too careful"
    figure = "![calibration](figures/calibration.png)"
    return f"## Calibration\n\n{text}: {sense}.\n\n{_markdown(rows, 'method')}\n\n{figure}"


def _selection(runs: Sequence[FinishedRun], table: pd.DataFrame | None, out: Path) -> str:
    if not runs:
        return ""
    try:
        candidates(runs)
    except InputError:
        return f"## Epochs\n\nThere is no choice between epochs: fewer than two were kept ({HINT})."
    if table is None:
        return "## Epochs\n\nPatients are unknown without the prepared set, so the choice cannot be tried on halves."
    selections = compare_selections(runs, table)
    content: list[dict[str, Any]] = [dump(found) for found in selections]
    clean = [{key: _plain(value) for key, value in row.items()} for row in content]
    write_json(out / "selection.json", clean)
    text = (
        "`score` is over all units, and too good: the epochs were chosen by it. `nested` is on the halves of the"
        " patients that the choice had not seen, `noise` its standard deviation: a smaller difference says nothing."
        " `agreement` is how often a half chose the same epochs."
    )
    return f"## Epochs\n\n{text}\n\n{_markdown(describe(selections).set_index('rule'), 'rule')}"


def _plain(value: Any) -> Any:
    """JSON has no NaN, and text keys only."""
    if isinstance(value, dict):
        return {str(key): item for key, item in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _figures(subject: Subject, units: pd.DataFrame, cuts: ThresholdReport, out: Path) -> str:
    folder = out / FIGURES
    paths = [
        plot_roc(folder / "roc.png", units),
        plot_precision_recall(folder / "precision_recall.png", units),
        plot_score_histogram(folder / "scores.png", units, cuts.best),
        plot_threshold(folder / "threshold.png", units, cuts.best),
    ]
    return "## Figures\n\n" + "\n".join(f"![{path.stem}]({FIGURES}/{path.name})" for path in paths)


def _markdown(table: pd.DataFrame, name: str) -> str:
    """A Markdown table of a frame with an index."""
    rows = [[name, *map(str, table.columns)], ["---"] * (len(table.columns) + 1)]
    rows += [
        [str(index), *(_cell(value) for value in row)] for index, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if not np.isfinite(value):
        return "–"
    return f"{value:.0f}" if float(value).is_integer() and abs(value) >= 2 else f"{value:.4f}"
