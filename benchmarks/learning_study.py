"""What `benchmarks/learning.py` compares, and how one training of it is made: data, recipes, one result file each.

Everything that decides a figure is a constant here or an experiment in `conf/experiment/learning/`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2

from rsna.competitions import create_competition
from rsna.competitions.metrics import scores_at
from rsna.config.compose import compose
from rsna.config.environment import PrepareConfig
from rsna.config.training import TrainConfig
from rsna.data import PreparedSet
from rsna.errors import RsnaError
from rsna.io import read_json, write_json
from rsna.models import create_model, load_weights
from rsna.preparation.folds import make_folds
from rsna.preparation.prepare import Source, prepare_source
from rsna.synthetic import BreastOptions, make_breast
from rsna.tables import write_csv
from rsna.training.folder import run_folder
from rsna.training.loaders import FoldData
from rsna.training.report import Report
from rsna.training.run import train
from rsna.training.split import load_split

OURS = "best"
# The learning rates that are tried, equally many for each; a head's own rate keeps its ratio to the backbone's.
RATES = {
    "ancestor": (1e-3, 3e-3, 1e-2),
    "sixth_place": (1e-3, 3e-3, 1e-2),
    "first_place": (3e-2, 1e-1, 3e-1),
    "best": (1e-3, 3e-3, 1e-2),
}
METRICS = {"AUC": "unit/auc", "AP": "unit/ap", "pF1": "unit/pf1", "F1 of calls": "unit/f1"}
FOLDS, FOLD = 4, 0  # of the training patients, three quarters learn; the rest choose the epoch and the learning rate
SEARCH_SEED = 100  # none of the seeds whose figures count


@dataclass(frozen=True)
class Study:
    """How large a comparison is.

    Attributes:
        competitions: By name; the first one is the one that learning rates are chosen on.
        pictures: That one training may pass forward and backward through the backbone, at most.
        seeds: Of the trainings whose figures count.
        rates: How many learning rates are tried.
    """

    competitions: dict[str, BreastOptions]
    pictures: int
    seeds: tuple[int, ...]
    rates: int = 3

    @property
    def tuned_on(self) -> str:
        """The competition on whose training set the learning rates are chosen."""
        return next(iter(self.competitions))


FULL = Study(
    competitions={
        "first": BreastOptions(700, 850, scale=0.1, seed=41, positive_rate=0.12, difficulty="normal"),
        "second": BreastOptions(700, 900, scale=0.07, seed=1729, positive_rate=0.1, difficulty="easy"),
    },
    pictures=15_500,
    seeds=(0, 1, 2, 3, 4),
)
QUICK = Study(
    competitions={
        "first": replace(FULL.competitions["first"], patients=16, hidden_patients=8, scale=0.05, positive_rate=0.3)
    },
    pictures=1,
    seeds=(0,),
    rates=1,
)


@dataclass(frozen=True)
class Job:
    """One training with its scores on the hidden test; resumable, and done once its result file is there.

    Attributes:
        out: The folder of the whole comparison.
        competition: Its name.
        recipe: An experiment of `conf/experiment/learning/`.
        rate: The learning rate.
        seed: Of the training.
        pictures: See `Study`.
    """

    out: Path
    competition: str
    recipe: str
    rate: float
    seed: int
    pictures: int

    @property
    def name(self) -> str:
        """Of the run folder and the result file."""
        return f"{self.recipe},lr={self.rate:g},seed={self.seed}"

    @property
    def result(self) -> Path:
        """What came out; written atomically, last of all."""
        return self.out / self.competition / "results" / f"{self.name}.json"

    def read(self) -> dict[str, Any]:
        """The result of a finished training."""
        found = read_json(self.result)
        if not isinstance(found, dict):
            raise RsnaError(f"{self.result} is no result; delete it and run again")
        return found


def make_data(out: Path, name: str, options: BreastOptions, workers: int) -> None:
    """Make a competition and prepare it once for each way in which the recipes look at it; what is there is kept."""
    raw = out / name / "raw"
    make_breast(raw, options, workers)
    competition = create_competition("breast")
    train_table, hidden = competition.train_table(raw), competition.test_table(raw / "hidden")
    truth = competition.read_solution(raw / "hidden" / "solution.csv").set_index("prediction_id")["cancer"]
    hidden["target_cancer"] = hidden["prediction_id"].map(truth).astype("float32")
    for recipe in RATES:
        config = compose(TrainConfig, "train", [f"experiment=learning/{recipe}"])
        folder = prepared_folder(out, name, config)
        for source in (Source(raw, train_table), Source(raw / "hidden", hidden)):
            target = folder / ("train" if source.root == raw else "hidden")
            env = replace(config.env, data=str(source.root), prepared=str(target), workers=workers)
            report = prepare_source(source, PrepareConfig(config.competition, env, config.data))
            if len(report.failed):
                raise RsnaError(f"{target}: {len(report.failed)} pictures failed, which makes the comparison worthless")
        write_csv(folder / "train" / "folds.csv", make_folds(competition, train_table, FOLDS, seed=0))


def prepared_folder(out: Path, competition: str, config: TrainConfig) -> Path:
    """Where the pictures of a recipe lie: recipes with the same imaging share them."""
    imaging = config.data.imaging
    return out / competition / f"{imaging.voi},{imaging.roi.method},{imaging.height}x{imaging.width}"


def make_config(job: Job) -> TrainConfig:
    """The recipe's config with as many epochs as the pictures allow."""
    plain = compose(TrainConfig, "train", [f"experiment=learning/{job.recipe}"])
    ratio = 1.0 if plain.optimizer.head_lr is None else plain.optimizer.head_lr / plain.optimizer.lr
    head = None if plain.optimizer.head_lr is None else job.rate * ratio
    prepared = prepared_folder(job.out, job.competition, plain) / "train"
    config = replace(
        plain,
        name=job.name,
        seed=job.seed,
        fold=FOLD,
        env=replace(plain.env, prepared=str(prepared), runs=str(job.out / job.competition / "runs"), workers=0),
        optimizer=replace(plain.optimizer, lr=job.rate, head_lr=head),
    )
    epochs = max(job.pictures // pictures_per_epoch(config), 1)
    schedule = replace(config.scheduler, warmup=config.scheduler.warmup if epochs > 1 else 0)  # of --quick
    return replace(config, trainer=replace(config.trainer, epochs=epochs), scheduler=schedule)


def pictures_per_epoch(config: TrainConfig) -> int:
    """Pictures that pass through the backbone in an epoch of a training: samples times views."""
    plan = FoldData(config, load_split(config, FOLD)).plan
    return sum(map(len, plan.batches(0))) * config.model.views.count


def run_job(job: Job) -> dict[str, Any]:
    """Train, score the hidden test with the weights that were kept, and write both down."""
    if job.result.is_file():
        return job.read()
    cv2.setNumThreads(1)
    config = make_config(job)
    validation = train(config)
    split = load_split(config, FOLD)
    result = {
        "competition": job.competition,
        "recipe": job.recipe,
        "rate": job.rate,
        "seed": job.seed,
        "pictures": pictures_per_epoch(config) * config.trainer.epochs,
        "steps": FoldData(config, split).steps * config.trainer.epochs,
        "epochs": config.trainer.epochs,
        "validation": validation,
        "hidden": score_hidden(job, config, validation["unit/threshold"]),
    }
    write_json(job.result, result)
    return result


def score_hidden(job: Job, config: TrainConfig, threshold: float) -> dict[str, float]:
    """The metrics of the hidden test's breasts, those of the calls above the validation fold's threshold among them."""
    split = load_split(config, FOLD)
    hidden = PreparedSet.open(prepared_folder(job.out, job.competition, config) / "hidden")
    model = create_model(config.model, config.data.input, len(split.targets), pretrained=False)
    load_weights(model, run_folder(config, FOLD).weights)
    report = Report(config, replace(split, prepared=hidden, validation=hidden.table))
    predictions = report.out_of_fold(model, 0)
    metrics = report.metrics(predictions)
    breasts = report.units(predictions)
    called = scores_at(breasts["target_cancer"], breasts["pred_cancer"], threshold)
    positives = float((breasts["target_cancer"] > 0.5).sum())
    return {**metrics, "unit/f1": called["f1"], "positives": positives, "breasts": float(len(breasts))}
