"""The run folder: whose it is, what lies in it, and whether it is finished."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rsna.config import differences, dump, load
from rsna.config.training import TrainConfig
from rsna.errors import InputError, Unfinished
from rsna.io import ensure_dir, read_json, read_yaml, write_json, write_yaml

ELSEWHERE = ("env.", "tracking.")  # where things are and who is told: another machine may go on with the run


@dataclass(frozen=True)
class RunFolder:
    """`<runs>/<name>/fold_<k>/`, one fold of one run.

    Attributes:
        path: Where it lies.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The config that the folder belongs to."""
        return self.path / "config.yaml"

    @property
    def weights(self) -> Path:
        """The weights that the monitored metric chose, and that made the out-of-fold predictions."""
        return self.path / "weights.safetensors"

    @property
    def last_weights(self) -> Path:
        """The weights of the last epoch, where asked for."""
        return self.path / "weights_last.safetensors"

    @property
    def trained_on(self) -> Path:
        """The groups (patients) that the weights have learnt from; who starts from them must not validate on any."""
        return self.path / "trained_on.parquet"

    @property
    def checkpoint(self) -> Path:
        """What resuming needs: the state at the end of the last finished epoch."""
        return self.path / "last.ckpt"

    @property
    def history(self) -> Path:
        """One row of metrics per epoch."""
        return self.path / "history.csv"

    @property
    def oof(self) -> Path:
        """The out-of-fold predictions."""
        return self.path / "oof.parquet"

    @property
    def metrics(self) -> Path:
        """What came out. Written last: it marks the run as finished."""
        return self.path / "metrics.json"

    @property
    def incomplete(self) -> Path:
        """Why the run stopped before its end; it can be gone on with."""
        return self.path / "incomplete.json"

    @property
    def tables(self) -> Path:
        """The predictions of every epoch, where asked for."""
        return self.path / "epochs"

    def epoch_weights(self, epoch: int) -> Path:
        """The weights of an epoch, where they were asked for."""
        return self.tables / f"{epoch:03d}.safetensors"

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.metrics.is_file()

    def claim(self, config: TrainConfig, fold: int) -> None:
        """Make the folder and mark it as this config's.

        Raises:
            InputError: Where it cannot be written to.
        """
        ensure_dir(self.path)
        write_yaml(self.config, dump(replace(config, fold=fold)))

    @contextmanager
    def marked(self) -> Iterator[None]:
        """Mark the run as incomplete where the block ends as `Unfinished`; until then it is not."""
        self.incomplete.unlink(missing_ok=True)
        try:
            yield
        except Unfinished as stop:
            write_json(self.incomplete, {"reason": str(stop)})
            raise Unfinished(f"{self.path} is incomplete: {stop}; the same command goes on") from stop

    def read_metrics(self) -> dict[str, float]:
        """The metrics of a finished run; NaN where one is undefined."""
        values = read_json(self.metrics)["metrics"]
        return {name: math.nan if value is None else value for name, value in values.items()}

    def write_metrics(self, metrics: dict[str, float], epoch: int, monitor: str) -> None:
        """Mark the run as finished.

        Args:
            metrics: Of the out-of-fold predictions.
            epoch: Whose weights made them, from 0.
            monitor: The metric that chose it.
        """
        values = {name: None if math.isnan(value) else value for name, value in metrics.items()}  # JSON has no NaN
        write_json(self.metrics, {"epoch": epoch, "monitor": monitor, "score": values[monitor], "metrics": values})


def _read_config(path: Path) -> Any:
    """A stored config with the defaults of keys that came later; as it stands where it cannot be read any more."""
    mapping = read_yaml(path)
    try:
        return dump(load(TrainConfig, mapping, str(path)))
    except InputError:
        return mapping


def run_folder(config: TrainConfig, fold: int) -> RunFolder:
    """The run folder of one fold of a config, which need not exist yet.

    Raises:
        InputError: Where it belongs to another config; names the keys that differ.
    """
    folder = RunFolder(Path(config.env.runs) / config.name / f"fold_{fold}")
    if not folder.config.is_file():
        return folder
    found = differences(_read_config(folder.config), dump(replace(config, fold=fold)))
    other = [line for line in found if not line.startswith(ELSEWHERE)]
    if other:
        raise InputError(
            f"{folder.path} belongs to another config ({'; '.join(other)}); give this run its own name=, or delete the"
            " folder"
        )
    return folder
