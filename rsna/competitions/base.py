"""What a competition is: its tables, targets, groups, metric, aggregation and submission file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pandas as pd

from rsna.competitions.aggregation import Rule, per_unit
from rsna.competitions.image_table import check_units, smoothed_rates
from rsna.competitions.metrics import Threshold
from rsna.competitions.submission import SubmissionFormat, check_ids, read_submission
from rsna.errors import InputError
from rsna.tables import Column, read_csv


@dataclass(frozen=True)
class Target:
    """One thing that a model predicts of an image.

    Attributes:
        name: As the competition calls it.
        kind: `binary` and `ordinal` are learnt as probabilities, `class` as one of several, `regression` as a number.
        role: `target` is scored; `aux` only helps to learn.
    """

    name: str
    kind: Literal["binary", "ordinal", "regression", "class"] = "binary"
    role: Literal["target", "aux"] = "target"

    @property
    def column(self) -> str:
        """Its column in an image table."""
        return f"{self.role}_{self.name}"

    @property
    def prediction(self) -> str:
        """Its column in a prediction table."""
        return f"pred_{self.name}"


class Competition(ABC):
    """The one place that knows a competition; everything above asks it.

    A subclass fills in the class attributes and the abstract methods; `docs/competitions.md` walks through it.

    Attributes:
        name: What configurations and `--competition` say.
        title: What people say.
        kind: `code`: a notebook is rerun on hidden data; `file`: a file is uploaded; `external`: not on Kaggle.
        image_suffix: Of the image files.
        targets: What is scored, in the order of the model's outputs.
        auxiliary: What else the training table knows about an image.
        train_columns: The training table, exactly.
        test_columns: The test table, exactly.
        format: The submission file.
        monitor: The key of `evaluate` that chooses between epochs and runs.
        monitor_mode: Whether more of it is better.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    kind: ClassVar[Literal["code", "file", "external"]]
    image_suffix: ClassVar[str] = ".dcm"
    targets: ClassVar[tuple[Target, ...]]
    auxiliary: ClassVar[tuple[Target, ...]] = ()
    train_columns: ClassVar[tuple[Column, ...]]
    test_columns: ClassVar[tuple[Column, ...]]
    format: ClassVar[SubmissionFormat]
    monitor: ClassVar[str]
    monitor_mode: ClassVar[Literal["max", "min"]] = "max"

    # Tables

    def train_table(self, data: Path) -> pd.DataFrame:
        """The checked image table of the training images below the competition's folder `data`."""
        return self.read_train(Path(data) / "train.csv")

    def test_table(self, data: Path) -> pd.DataFrame:
        """The checked image table of the test images below the competition's folder `data`, without targets."""
        return self.read_test(Path(data) / "test.csv")

    def read_train(self, csv: Path) -> pd.DataFrame:
        """The image table of a training table (.csv or .csv.gz), which need not lie beside the images.

        Raises:
            InputError: For a missing or extra column, a value outside the specification, an image that occurs twice, or
                a scored unit with two groups or two labels; names the file and the row or the unit.
        """
        return self._read(Path(csv), self.train_columns, "train_images")

    def read_test(self, csv: Path) -> pd.DataFrame:
        """The image table of a test table; checked and raising like `read_train`."""
        return self._read(Path(csv), self.test_columns, "test_images")

    def _read(self, csv: Path, columns: tuple[Column, ...], folder: str) -> pd.DataFrame:
        raw = read_csv(csv, columns)
        if raw.empty:
            raise InputError(f"{csv} has a header and no rows")
        table = self.image_table(raw, folder, csv)
        check_units(table, [t.column for t in self.targets if t.column in table], csv)
        return table

    @abstractmethod
    def image_table(self, raw: pd.DataFrame, folder: str, source: Path) -> pd.DataFrame:
        """Turn a parsed training or test table into an image table (`rsna.competitions.image_table`), images unique.

        Args:
            raw: By `train_columns` or `test_columns`.
            folder: Of the images, relative to the competition's folder.
            source: How errors name the table.
        """

    def sample_submission(self, data: Path) -> pd.DataFrame:
        """The sample submission below the competition's folder `data`."""
        return read_csv(Path(data) / "sample_submission.csv", self.format.columns)

    # Folds

    @abstractmethod
    def strata(self, table: pd.DataFrame) -> pd.Series:
        """What folds must have equal shares of: one label per group, indexed by `group_id`.

        Folds are dealt in the order of the labels, the last first, so similar strata should sort side by side and the
        rarest last.
        """

    def fold_report(self, table: pd.DataFrame) -> pd.DataFrame:
        """What each fold of an image table with `fold` holds, indexed by fold: images, groups, units, positives."""
        folds = table.groupby("fold")
        report = pd.DataFrame({"images": folds.size(), "groups": folds["group_id"].nunique()})
        report["units"] = folds["prediction_id"].nunique()
        for target in (t for t in self.targets if t.kind == "binary"):
            positive = table[table[target.column] > 0.5].groupby("fold")
            report[f"{target.name}_images"] = positive.size()
            report[f"{target.name}_units"] = positive["prediction_id"].nunique()
        return report.fillna(0).astype(int)

    # Predictions

    def aggregate(self, predictions: pd.DataFrame, how: Rule) -> pd.DataFrame:
        """One row per scored unit of a prediction table: `prediction_id`, `pred_*`, and `target_*` where present.

        See `rsna.competitions.aggregation.per_unit`.
        """
        return per_unit(predictions, how)

    @abstractmethod
    def evaluate(self, predictions: pd.DataFrame, how: Rule, threshold: float | None = None) -> dict[str, float]:
        """The metrics of a prediction table with targets, per image (`image/...`) and per scored unit (`unit/...`).

        Args:
            predictions: A prediction table.
            how: The aggregation from images to units.
            threshold: Adds the metrics of the calls at this threshold.

        Returns:
            Values by name, `monitor` among them; NaN where the classes present leave one undefined.
        """

    def unit_metrics(self, units: pd.DataFrame) -> dict[str, float]:
        """The metrics `unit/...` of `evaluate`, of a table of one row per unit as `aggregate` makes it."""
        metrics = self.evaluate(units.assign(image_id=units["prediction_id"]), "mean")
        return {name: value for name, value in metrics.items() if name.startswith("unit/")}

    @abstractmethod
    def fit_threshold(self, predictions: pd.DataFrame, how: Rule) -> Threshold:
        """The threshold of the best score on a prediction table with targets, per scored unit.

        Raises:
            InputError: Without a positive unit.
        """

    def priors(self, train: pd.DataFrame) -> dict[str, Any]:
        """What to expect of an image that nobody can read, as JSON-able rates.

        Args:
            train: An image table with targets.

        Returns:
            `{target: {"overall": rate, key: {label: rate}}}` with the keys of `prior_keys`, smoothed; in [0, 1] for
            binary targets. See `smoothed_rates`.
        """
        keys = self.prior_keys(train)
        return {t.name: smoothed_rates(train[t.column], keys) for t in self.targets}

    def prior_keys(self, table: pd.DataFrame) -> Mapping[str, pd.Series]:
        """What `priors` are split by: a label (str) for every row of an image table, by the name of the key."""
        return {}

    # Submission

    def submission(self, predictions: pd.DataFrame, how: Rule, threshold: float | None) -> pd.DataFrame:
        """The submission of a prediction table, ready for `rsna.tables.write_csv`.

        Args:
            predictions: A prediction table.
            how: The aggregation from images to units.
            threshold: Write 1 where the prediction is greater and 0 elsewhere; None writes the predictions themselves.

        Raises:
            InputError: For a unit without any prediction.
        """
        units = self.aggregate(predictions, how)
        values = units[[t.prediction for t in self.targets]]
        lost = units.loc[values.isna().any(axis=1), "prediction_id"]
        if len(lost):
            raise InputError(f"{len(lost)} units have no prediction, the first is {lost.iloc[0]!r}; fill them in first")
        if threshold is not None:
            values = (values > threshold).astype(int)
        values = values.set_axis(list(self.format.values), axis=1)
        return pd.concat([units["prediction_id"].rename(self.format.id), values], axis=1)

    def check_submission(self, submission: Path, sample: Path | pd.DataFrame) -> pd.DataFrame:
        """Read a submission file, or raise `InputError` for the first thing that is wrong with it."""
        if not isinstance(sample, pd.DataFrame):
            sample = read_csv(sample, self.format.columns)
        return read_submission(Path(submission), sample, self.format)

    def read_solution(self, csv: Path) -> pd.DataFrame:
        """Read a solution: the submission's columns, and `Usage` (Public or Private) where it has one."""
        usage = Column("Usage", "str", required=False, choices=("Public", "Private"))
        return read_csv(csv, (*self.format.columns, usage))

    def score(self, submission: pd.DataFrame, solution: pd.DataFrame) -> dict[str, float]:
        """Score a submission as the competition does.

        Returns:
            `score`; `public` and `private` where the solution has the column `Usage`; and `details`. NaN where a value
            is undefined.

        Raises:
            InputError: Where the ids differ.
        """
        check_ids(submission[self.format.id], solution[self.format.id], "the submission")
        truth = solution.set_index(self.format.id)
        given = submission.set_index(self.format.id).loc[truth.index]
        parts = {"score": pd.Series(True, index=truth.index)}
        if "Usage" in truth:
            parts |= {usage.lower(): truth["Usage"] == usage for usage in ("Public", "Private")}
        values = list(self.format.values)
        scores = {name: self.metric(truth.loc[rows, values], given.loc[rows, values]) for name, rows in parts.items()}
        return scores | self.details(truth[values], given)

    @abstractmethod
    def metric(self, truth: pd.DataFrame, submitted: pd.DataFrame) -> float:
        """The competition's score of submitted values, both indexed by the submission's ids, in the same order."""

    def details(self, truth: pd.DataFrame, submitted: pd.DataFrame) -> dict[str, float]:
        """What else helps to understand a score; arguments as of `metric`."""
        return {}
