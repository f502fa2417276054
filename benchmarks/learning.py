"""Does it learn, and does our recipe learn more than the published ones? Breasts of hidden tests, five seeds each.

Four recipes (`conf/experiment/learning/`) train on one synthetic competition with the same network, equally many
pictures and equally many learning rates to choose from, each on the validation fold of the training set; then on a
second competition of other generator settings, with what was chosen on the first. docs/learning.md says more.

A killed run goes on with the same command. Two processes of one thread each.

    python benchmarks/learning.py [--quick] [--json FILE] [--out DIR] [--report FILE]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from math import sqrt
from pathlib import Path
from typing import Any

from harness import Row, options, report
from learning_study import FULL, METRICS, OURS, QUICK, RATES, SEARCH_SEED, Job, Study, make_data, run_job

from rsna.io import write_json, write_text
from rsna.log import progress
from rsna.synthetic.breast import bounded_map

Result = dict[str, Any]
WORKERS = 2
OUT = Path("runs/learning")


def search_jobs(out: Path, study: Study) -> list[Job]:
    """The trainings that choose a learning rate for each recipe."""
    first = study.tuned_on
    return [
        Job(out, first, recipe, rate, SEARCH_SEED, study.pictures)
        for recipe, rates in RATES.items()
        for rate in rates[: study.rates]
    ]


def choose_rates(out: Path, results: Iterable[Result]) -> dict[str, float]:
    """The rate with the best mean of AUC and AP on the validation fold, by recipe; also written down."""
    scores: dict[str, dict[float, float]] = {}
    for result in results:
        scores.setdefault(result["recipe"], {})[result["rate"]] = result["validation"]["unit/mean_auc"]
    chosen = {recipe: max(tried, key=tried.__getitem__) for recipe, tried in scores.items()}
    text = {recipe: {f"{rate:g}": round(score, 4) for rate, score in tried.items()} for recipe, tried in scores.items()}
    write_json(out / "rates.json", {"chosen": chosen, "validation mean of AUC and AP": text})
    return chosen


def final_jobs(out: Path, study: Study, chosen: dict[str, float]) -> list[Job]:
    """The trainings whose figures count, seed by seed, so that a part of them says something about all recipes."""
    return [
        Job(out, competition, recipe, chosen[recipe], seed, study.pictures)
        for competition in study.competitions
        for seed in study.seeds
        for recipe in RATES
    ]


def run_jobs(jobs: list[Job], label: str, workers: int) -> list[Result]:
    """Run trainings, two at a time, and say after each what came out and how long the rest will take."""
    open_jobs = [job for job in jobs if not job.result.is_file()]
    done = map(run_job, open_jobs) if workers == 1 else bounded_map(run_job, open_jobs, workers)
    for _ in progress(said(done, label, len(open_jobs)), label, len(open_jobs)):
        pass
    return [job.read() for job in jobs]


def said(results: Iterable[Result], label: str, total: int) -> Iterator[Result]:
    """Print a line for each result, for logs, where there is no bar."""
    start = time.time()
    for index, result in enumerate(results, 1):
        left = (time.time() - start) / index * (total - index) / 60
        scores = " ".join(f"{name} {result['hidden'][key]:.3f}" for name, key in METRICS.items())
        what = f"{result['competition']}, {result['recipe']}, lr {result['rate']:g}, seed {result['seed']}"
        if not sys.stderr.isatty():
            print(f"{label} {index}/{total}: {what}: {scores}; {left:.0f} min left", flush=True)
        yield result


def summary(results: list[Result], competition: str, recipe: str, metric: str) -> tuple[float, float]:
    """Mean over the seeds and its standard error."""
    wanted = (competition, recipe)
    values = [r["hidden"][METRICS[metric]] for r in results if (r["competition"], r["recipe"]) == wanted]
    error = statistics.stdev(values) / sqrt(len(values)) if len(values) > 1 else float("nan")
    return statistics.fmean(values), error


def make_rows(results: list[Result], study: Study) -> list[Row]:
    """Means against the ancestor's; of several seeds also their errors, and how far ours is ahead."""
    rows = []
    for competition in study.competitions:
        for metric in METRICS:
            table = {recipe: summary(results, competition, recipe, metric) for recipe in RATES}
            base = f"{competition}, ancestor, {metric}"
            for recipe, (mean, error) in table.items():
                ratio = round(mean / table["ancestor"][0], 3)
                rows.append(Row(f"{competition}, {recipe}, {metric}", round(mean, 4), "mean", base, ratio))
                if len(study.seeds) > 1:
                    rows.append(Row(f"{competition}, {recipe}, {metric}, error", round(error, 4), "s.e."))
            if len(study.seeds) > 1:
                for recipe, lead in leads(table).items():
                    rows.append(Row(f"{competition}, {OURS} before {recipe}, {metric}", round(lead, 2), "s.e."))
    return rows


def leads(table: dict[str, tuple[float, float]]) -> dict[str, float]:
    """By how many standard errors of the difference ours is ahead of each other recipe, from means and their errors."""
    ours, own = table[OURS]
    others = {recipe: cell for recipe, cell in table.items() if recipe != OURS}
    return {recipe: (ours - mean) / max(sqrt(own**2 + error**2), 1e-9) for recipe, (mean, error) in others.items()}


def markdown(results: list[Result], study: Study, chosen: dict[str, float]) -> str:
    """The tables of docs/learning.md."""
    lines = []
    for competition in study.competitions:
        some = next(result["hidden"] for result in results if result["competition"] == competition)
        lines += [
            f"`{competition}`, {some['breasts']:.0f} hidden breasts, {some['positives']:.0f} of them with a cancer:",
            "",
            f"| recipe | learning rate | pictures | {' | '.join(METRICS)} |",
            "| --- " * (3 + len(METRICS)) + "|",
        ]
        table = {metric: {r: summary(results, competition, r, metric) for r in RATES} for metric in METRICS}
        for recipe in RATES:
            figures = [f"{table[metric][recipe][0]:.3f} ± {table[metric][recipe][1]:.3f}" for metric in METRICS]
            seen = next(r["pictures"] for r in results if (r["competition"], r["recipe"]) == (competition, recipe))
            lines.append(f"| `{recipe}` | {chosen[recipe]:g} | {seen:,} | {' | '.join(figures)} |")
        ahead = {metric: leads(table[metric]) for metric in METRICS}
        for recipe in (recipe for recipe in RATES if recipe != OURS):
            figures = [f"{ahead[metric][recipe]:+.1f} s.e." for metric in METRICS]
            lines.append(f"| `{OURS}` before `{recipe}` | | | {' | '.join(figures)} |")
        lines.append("")
    return "\n".join(lines)


def compare(out: Path, study: Study, workers: int) -> tuple[list[Result], dict[str, float]]:
    """Make what is not there yet, and return the results that count and the chosen learning rates."""
    for name, competition in study.competitions.items():
        make_data(out, name, competition, workers)
    chosen = choose_rates(out, run_jobs(search_jobs(out, study), "learning rates", workers))
    return run_jobs(final_jobs(out, study, chosen), "trainings", workers), chosen


def main() -> None:
    """Compare the recipes."""
    chosen = options(__doc__ or "", out="folder of the full comparison", report="Markdown file for the tables")
    if chosen.quick:
        with tempfile.TemporaryDirectory() as name:
            results, _ = compare(Path(name), QUICK, 1)
        report(make_rows(results, QUICK), chosen.json)
        return
    results, rates = compare(Path(chosen.out or OUT), FULL, WORKERS)
    if chosen.report:
        write_text(Path(chosen.report), markdown(results, FULL, rates))
    report(make_rows(results, FULL), chosen.json)


if __name__ == "__main__":
    main()
