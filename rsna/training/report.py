"""What a finished training says about itself: predictions, metrics, figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import nn

from rsna.competitions import Threshold
from rsna.config.training import TrainConfig
from rsna.data import read_pictures
from rsna.data.views import sample_pictures
from rsna.errors import InputError
from rsna.inference.predictions import prediction_table
from rsna.inference.predictor import Predictor
from rsna.inference.schema import Member
from rsna.log import progress
from rsna.plots import hardest_cases, write_run_plots
from rsna.tables import write_parquet
from rsna.training.folder import RunFolder
from rsna.training.split import Split


@dataclass(frozen=True)
class Report:
    """Makes the tables of one fold.

    Attributes:
        config: Of the run.
        split: Of the fold.
    """

    config: TrainConfig
    split: Split

    def predictions(self, probabilities: np.ndarray, epoch: int) -> pd.DataFrame:
        """The prediction table of the validation images, from probabilities (N, T) in their order."""
        member = Member(f"fold_{self.split.fold}.safetensors", "", self.split.fold, epoch)
        names = [target.name for target in self.split.competition.targets]
        return prediction_table(self.split.validation, probabilities[:, None], [member], names)

    def units(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """One row per scored unit of a prediction table."""
        return self.split.competition.aggregate(predictions, self.config.competition.aggregation)

    def metrics(self, predictions: pd.DataFrame) -> dict[str, float]:
        """The competition's metrics of a prediction table."""
        return self.split.competition.evaluate(predictions, self.config.competition.aggregation)

    def out_of_fold(self, model: nn.Module, epoch: int) -> pd.DataFrame:
        """The prediction table of the validation images, made as a submission would make it."""
        device = "cpu" if self.config.trainer.accelerator == "cpu" else "auto"
        predictor = Predictor([model], self.config.data.input, device, self.config.trainer.batch_size)
        prepared, table = self.split.prepared, self.split.validation
        pictures = sample_pictures(
            table, self.config.model.views, range(len(table)), lambda rows: read_pictures(prepared, table.iloc[rows])
        )
        found = predictor.predict(progress(pictures, "out-of-fold predictions", len(table)))
        return self.predictions(found[:, 0], epoch)

    def write_tables(self, folder: RunFolder, predictions: pd.DataFrame, epoch: int) -> None:
        """Write the image and the unit predictions of an epoch."""
        write_parquet(folder.tables / f"{epoch:03d}_images.parquet", predictions)
        write_parquet(folder.tables / f"{epoch:03d}_units.parquet", self.units(predictions))

    def write_plots(self, folder: RunFolder, history: Sequence[dict[str, float]], predictions: pd.DataFrame) -> None:
        """Write the figures of the run."""
        units = self.units(predictions)
        chosen = set(hardest_cases(units)["prediction_id"])
        rows = self.split.validation[self.split.validation["prediction_id"].isin(chosen)]
        pictures: dict[str, list[np.ndarray]] = {}
        for unit, picture in zip(rows["prediction_id"], read_pictures(self.split.prepared, rows), strict=True):
            pictures.setdefault(unit, []).append(picture)
        write_run_plots(folder.path, pd.DataFrame(history), units, self._threshold(predictions), pictures)

    def _threshold(self, predictions: pd.DataFrame) -> Threshold | None:
        try:
            return self.split.competition.fit_threshold(predictions, self.config.competition.aggregation)
        except InputError:  # a unit may lack a positive although an image has one
            return None
