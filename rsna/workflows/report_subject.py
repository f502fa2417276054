"""What a report is about: a training or a bundle, its out-of-fold predictions, and its units with their groups."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from rsna.competitions import Competition, create_competition
from rsna.competitions.aggregation import Rule
from rsna.data import PreparedSet
from rsna.errors import InputError
from rsna.inference import Bundle
from rsna.inference.schema import SPEC_FILE
from rsna.workflows.runs import FinishedRun, common_config, read_runs

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Subject:
    """What a report is about.

    Attributes:
        title: Of the report.
        competition: Whose metrics.
        oof: The out-of-fold predictions.
        rule: From images to units.
        threshold: The one in use; None for the best of these predictions.
        prepared: The prepared set of the training's configuration.
        runs: The trained folds; none for a bundle.
    """

    title: str
    competition: Competition
    oof: pd.DataFrame
    rule: Rule
    threshold: float | None
    prepared: str
    runs: tuple[FinishedRun, ...] = ()

    @property
    def target(self) -> str:
        """The first target, for which thresholds are chosen."""
        return self.competition.targets[0].name


def read_subject(source: Path) -> Subject:
    """A bundle, or a training: `runs/NAME` or one of its folds.

    Raises:
        InputError: For a folder that is neither, and a training that is not finished.
    """
    if (source / SPEC_FILE).is_file():
        bundle = Bundle.open(source)
        spec = bundle.spec
        title = f"Bundle {source.absolute().name}, {spec.digest[:12]}"
        prepared = bundle.config.env.prepared
        return Subject(title, bundle.competition, bundle.oof(), spec.rule, spec.threshold.value, prepared)
    runs = read_runs([source])
    config = common_config(runs)
    oof = pd.concat([run.oof for run in runs], ignore_index=True)
    competition = create_competition(config.competition.name)
    how, title = config.competition.aggregation, f"Training {config.name}, {len(runs)} folds"
    return Subject(title, competition, oof, how, None, config.env.prepared, tuple(runs))


def image_table(prepared: Path, required: bool) -> pd.DataFrame | None:
    """The image table of a prepared set; None, and a warning, where there is none and none is required."""
    if required or (prepared / "table.parquet").is_file():
        return PreparedSet.open(prepared).table
    logger.warning("there is no prepared set %s: no patients, sites or machines; name it with --prepared", prepared)
    return None


def scored_units(subject: Subject, table: pd.DataFrame | None, by: Sequence[str]) -> pd.DataFrame:
    """The scored units with their fold, patient, and what they are grouped by: the value of their first image."""
    units = subject.competition.aggregate(subject.oof, subject.rule)
    units["row_fold"] = units["prediction_id"].map(subject.oof.groupby("prediction_id")["row_fold"].first())
    if table is not None:
        first = table.drop_duplicates("prediction_id").set_index("prediction_id")
        if not units["prediction_id"].isin(first.index).all():
            raise InputError("the prepared set lacks units of the predictions; name the right one with --prepared")
        for column in ("group_id", *(name for name in by if name in first)):
            units[column] = units["prediction_id"].map(first[column])
    return units
