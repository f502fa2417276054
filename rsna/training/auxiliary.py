"""What the auxiliary heads learn, out of the image table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rsna.config.learning import AuxiliarySpec
from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.models.auxiliary import AuxiliaryHeads


@dataclass(frozen=True)
class AuxiliaryTask:
    """One auxiliary head and where its targets come from.

    Attributes:
        name: Of the head.
        spec: Its entry in the config.
        classes: The values of a `ce` head, in the order of its logits; empty for the others.
    """

    name: str
    spec: AuxiliarySpec
    classes: tuple[str, ...] = ()

    @property
    def column(self) -> str:
        """Its column in the image table."""
        return self.spec.column or f"aux_{self.name}"

    @property
    def outputs(self) -> int:
        """How many logits the head has."""
        return len(self.classes) or 1

    def targets(self, table: pd.DataFrame, positive: np.ndarray) -> np.ndarray:
        """What the head shall say of each row of an image table, (N,) float32, NaN where unknown.

        Args:
            table: Every image of the patients, once.
            positive: Which of them have a positive target, (N,) bool.

        Raises:
            InputError: For a value that the loss cannot take.
        """
        values = table[self.column]
        if self.spec.loss == "ce":
            numbers = {label: float(index) for index, label in enumerate(self.classes)}
            return values.map(lambda value: numbers.get(_label(value), np.nan)).to_numpy(np.float32)
        found = self._numbers(values)
        if self.spec.of == "other":
            found = other_units(found, table)
        if self.spec.positive is not None:
            found = np.where(positive, self.spec.positive, found)
        if self.spec.missing is not None:
            found = np.where(np.isnan(found), self.spec.missing, found)
        scaled = (found / self.spec.scale).astype(np.float32)
        if self.spec.loss == "bce" and ((scaled < 0) | (scaled > 1)).any():
            raise InputError(
                f"auxiliary.{self.name}: the column {self.column} has values up to {np.nanmax(found):g}, which scale="
                f"{self.spec.scale:g} does not bring into [0, 1] for bce; raise scale, or use loss=mse"
            )
        return scaled

    def _numbers(self, values: pd.Series) -> np.ndarray:
        try:
            return values.to_numpy(np.float64, na_value=np.nan, copy=True)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"auxiliary.{self.name}: the column {self.column} is not of numbers; use loss=ce"
            ) from error


def create_heads(config: TrainConfig, train: pd.DataFrame, features: int) -> AuxiliaryHeads | None:
    """The heads of a config on feature vectors of length `features`, or None where it has none.

    Raises:
        InputError: As `create_tasks`.
    """
    outputs = {task.name: task.outputs for task in create_tasks(config.auxiliary, train)}
    return AuxiliaryHeads(config.auxiliary, outputs, features, config.model.dropout) if outputs else None


def create_tasks(specs: Mapping[str, AuxiliarySpec], table: pd.DataFrame) -> list[AuxiliaryTask]:
    """The tasks of a config's `auxiliary`, with the classes that the training side has.

    Raises:
        InputError: For a column that the table lacks, one without any value, and a single class.
    """
    return [_create_task(name, spec, table) for name, spec in specs.items()]


def _create_task(name: str, spec: AuxiliarySpec, table: pd.DataFrame) -> AuxiliaryTask:
    task = AuxiliaryTask(name, spec)
    if task.column not in table:
        raise InputError(f"auxiliary.{name}: the image table lacks the column {task.column}; leave the head out")
    if table[task.column].isna().all():
        raise InputError(f"auxiliary.{name}: the column {task.column} is unknown of every training image")
    if spec.loss != "ce":
        return task
    classes = tuple(sorted({_label(value) for value in table[task.column].dropna()}))
    if len(classes) < 2:
        raise InputError(f"auxiliary.{name}: the column {task.column} has one class, {classes[0]}; leave the head out")
    return AuxiliaryTask(name, spec, classes)


def auxiliary_targets(tasks: list[AuxiliaryTask], table: pd.DataFrame, positive: np.ndarray) -> np.ndarray:
    """The targets of all tasks, (N, A) float32, NaN where unknown; see `AuxiliaryTask.targets`."""
    columns = [task.targets(table, positive) for task in tasks]
    return np.stack(columns, axis=1) if columns else np.empty((len(table), 0), np.float32)


def other_units(values: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    """The mean of values (N,) over the other scored units of each row's group; NaN where there is none known.

    Args:
        values: One per row, NaN where unknown. The value of a unit is the mean over its images.
        table: With `group_id` and `prediction_id`.
    """
    rows = table[["group_id", "prediction_id"]].assign(value=values)
    units = rows.groupby("prediction_id").agg(group_id=("group_id", "first"), value=("value", "mean"))
    known = units["value"].notna()
    groups = units.assign(value=units["value"].fillna(0), known=known.astype(float)).groupby("group_id")
    totals = groups[["value", "known"]].transform("sum")
    count = totals["known"] - known
    others = (totals["value"] - units["value"].fillna(0)) / count.where(count > 0)
    return table["prediction_id"].map(others).to_numpy(np.float64)


def _label(value: object) -> str:
    """A class as text: 3.0 of a float column and "3" of a text column are the same."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
