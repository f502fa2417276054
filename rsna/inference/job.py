"""What is to be predicted: a bundle, the checked tables of a folder, and where the submission goes. Without torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

import rsna
from rsna.competitions import Competition, create_competition
from rsna.errors import InputError
from rsna.inference.budget import Limits, make_limits
from rsna.inference.journal import Journal
from rsna.inference.options import PredictOptions
from rsna.inference.salvage import read_tables
from rsna.inference.schema import BundleSpec
from rsna.io import digest, ensure_dir

PREDICTIONS_FILE = "predictions.parquet"
REPORT_FILE = "predict_report.json"
NEUTRAL = ("workers", "time_limit")  # options that change no prediction
JOURNAL_VERSION = 2  # of its records


@dataclass(frozen=True)
class Job:
    """Everything that a prediction of a folder is about.

    Attributes:
        bundle: The folder of the bundle.
        spec: Its `bundle.json`.
        data: The competition's folder.
        out: The submission file.
        cut: Call positive what lies above; None writes probabilities.
        options: Where and how fast.
        limits: The time there is.
        table: The image table, in whose order batches are planned.
        sample: The sample submission.
        unusable: Rows of the table that have no image, with the reason.
        problems: What was wrong with the tables of a scoring rerun.
    """

    bundle: Path
    spec: BundleSpec
    data: Path
    out: Path
    cut: float | None
    options: PredictOptions
    limits: Limits
    table: pd.DataFrame
    sample: pd.DataFrame
    unusable: dict[int, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def competition(self) -> Competition:
        """Whose table it is."""
        return create_competition(self.spec.competition)

    @property
    def targets(self) -> list[str]:
        """What the models predict, in the order of their outputs."""
        return [target.name for target in self.competition.targets]

    @property
    def batches(self) -> int:
        """How many batches are planned."""
        return -(-len(self.table) // self.options.batch_size)

    def rows(self, number: int) -> range:
        """The rows of a planned batch."""
        start = number * self.options.batch_size
        return range(start, min(start + self.options.batch_size, len(self.table)))

    @property
    def report_path(self) -> Path:
        """Of the report."""
        return self.out.parent / REPORT_FILE

    @property
    def predictions_path(self) -> Path:
        """Of the predictions of images."""
        return self.out.parent / PREDICTIONS_FILE

    def journal(self) -> Journal:
        """The journal of this job, hidden beside the submission."""
        return Journal(journal_folder(self.out), self.key)

    @property
    def key(self) -> str:
        """One SHA-256 for all that decides the predictions, but for the bytes of the images."""
        ids = self.table[["image_id", "prediction_id", "group_id", "path"]].to_numpy().tolist()
        options = {key: value for key, value in asdict(self.options).items() if key not in NEUTRAL}
        parts = [JOURNAL_VERSION, rsna.__version__, self.spec.digest, str(self.data.resolve()), options, ids]
        return digest(json.loads(json.dumps(parts)))


def journal_folder(out: Path) -> Path:
    """Where the journal of a submission lies."""
    return out.parent / f".{out.name}.journal"


def plan_job(
    bundle: Path,
    spec: BundleSpec,
    data: Path,
    out: Path,
    threshold: float | None,
    probability: bool,
    options: PredictOptions,
    limits: Limits | None = None,
) -> Job:
    """Read the tables and check everything that can be checked before hours of work rather than after.

    Raises:
        InputError: For a wrong folder or option, and in a visible run for a wrong table (see `read_tables`).
    """
    if probability and threshold is not None:
        raise InputError("--probability writes no calls, so --threshold says nothing; give one of them")
    if options.batch_size < 1:
        raise InputError(f"the batch size must be at least 1, got {options.batch_size}")
    limits = limits or make_limits(options)
    cut = None if probability else spec.threshold.value if threshold is None else threshold
    read = read_tables(create_competition(spec.competition), data)
    ensure_dir(out.parent)
    if out.is_dir():
        raise InputError(f"{out} is a folder; name the file of the submission, such as {out / 'submission.csv'}")
    return Job(bundle, spec, data, out, cut, options, limits, read.table, read.sample, read.unusable, read.problems)


def clear(job: Job) -> None:
    """Make room for the output. What an earlier run left must not be taken for the result of a run that failed."""
    for path in (job.out, job.predictions_path, job.report_path):
        path.unlink(missing_ok=True)
