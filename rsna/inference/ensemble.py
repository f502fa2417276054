"""Several bundles as one: each predicts for itself, their scored units are combined.

The folder of an ensemble holds `ensemble.json` and one sub-folder per bundle. Whatever works on a bundle works on its
parts; what is fitted is fitted elsewhere (`rsna.ensembling`). Without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rsna.competitions import Competition, Threshold, create_competition
from rsna.config import dump, load
from rsna.errors import InputError
from rsna.inference.schema import OOF_FILE, PROVENANCE, BundleSpec, read_spec
from rsna.io import digest, read_json
from rsna.tables import read_parquet

Floats = NDArray[np.float64]

ENSEMBLE_FILE = "ensemble.json"
SCHEMA_VERSION = 1

By = Literal["mean", "rank", "weights"]


@dataclass(frozen=True)
class Part:
    """One bundle of an ensemble.

    Attributes:
        folder: A plain name below the ensemble's folder.
        digest: Of the bundle.
        weight: Its share, in [0, 1].
    """

    folder: str
    digest: str
    weight: float

    def __post_init__(self) -> None:
        if self.folder != Path(self.folder).name or "\\" in self.folder or self.folder.startswith("."):
            raise ValueError(f"the part {self.folder!r} is not a plain folder name")
        if not 0 <= self.weight <= 1:
            raise ValueError(f"the weight of {self.folder} must lie in [0, 1], got {self.weight:g}")


@dataclass(frozen=True)
class EnsembleSpec:
    """The file `ensemble.json`.

    Attributes:
        competition: A registered competition.
        by: `mean` and `weights` average the units' probabilities, `rank` their ranks (see `combine`).
        threshold: Of the combined units, chosen on the out-of-fold predictions.
        parts: The bundles, whose weights sum to one.
        commit: The code that made it.
        dirty: Whether that code differed from the commit.
        created: UTC, ISO 8601.
        schema_version: Of the file.
    """

    competition: str
    by: By
    threshold: Threshold
    parts: tuple[Part, ...]
    commit: str = ""
    dirty: bool = False
    created: str = ""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if len({part.folder for part in self.parts}) < max(2, len(self.parts)):
            raise ValueError("an ensemble has at least two parts, each in a folder of its own")
        if abs(sum(part.weight for part in self.parts) - 1) > 1e-6:
            raise ValueError("the weights of an ensemble sum to one")
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema version {self.schema_version}, this program reads {SCHEMA_VERSION}")

    @property
    def digest(self) -> str:
        """One SHA-256 for the whole content, the bundles included, but for which code made it, and when."""
        return digest({key: value for key, value in dump(self).items() if key not in PROVENANCE})


@dataclass(frozen=True)
class Ensemble:
    """An ensemble whose parts are the ones that it names.

    Attributes:
        folder: Where it lies.
        spec: Its `ensemble.json`.
        bundles: The `bundle.json` of each part.
    """

    folder: Path
    spec: EnsembleSpec
    bundles: tuple[BundleSpec, ...]

    @classmethod
    def open(cls, folder: str | Path, digest: str = "") -> Ensemble:
        """Read an ensemble and compare the digests. The files of a part are verified before it predicts.

        Raises:
            InputError: For another ensemble than the expected one, and a part that is missing or another bundle.
        """
        root = Path(folder)
        path = root / ENSEMBLE_FILE
        if not path.is_file():
            raise InputError(f"{root} is no ensemble: it has no {ENSEMBLE_FILE}; make one with `rsna ensemble`")
        spec = load(EnsembleSpec, read_json(path), str(path))
        if digest and spec.digest != digest:
            raise InputError(f"{root} is the ensemble {spec.digest[:12]}, expected was {digest[:12]}")
        bundles = tuple(read_spec(root / part.folder, part.digest) for part in spec.parts)
        if other := [b.competition for b in bundles if b.competition != spec.competition]:
            raise InputError(f"{path} is for {spec.competition}, one of its bundles for {other[0]}")
        return cls(root, spec, bundles)

    @property
    def competition(self) -> Competition:
        """Whose units it predicts."""
        return create_competition(self.spec.competition)

    def references(self) -> list[pd.DataFrame]:
        """The out-of-fold units of every part, against which ranks are taken."""
        folders = (self.folder / part.folder for part in self.spec.parts)
        return [
            self.competition.aggregate(read_parquet(folder / OOF_FILE), bundle.rule)
            for folder, bundle in zip(folders, self.bundles, strict=True)
        ]


def is_ensemble(folder: Path) -> bool:
    """Whether a folder holds an ensemble, not a bundle."""
    return (folder / ENSEMBLE_FILE).is_file()


def to_ranks(values: Floats, reference: Floats) -> Floats:
    """Ranks in [0, 1] of predictions (N,) among the out-of-fold ones of the same bundle (R,), NaN left out.

    Ranks among the test's own predictions would depend on how many there are: a visible run has a handful, and a
    threshold would mean something else there.
    """
    known = np.sort(reference[~np.isnan(reference)])
    levels, first, count = np.unique(known, return_index=True, return_counts=True)
    middle = (first + (count - 1) / 2 + 0.5) / len(known)
    return np.asarray(np.interp(values, levels, middle), np.float64)  # NaN stays NaN


def combine(values: Floats, weights: Sequence[float]) -> Floats:
    """The weighted mean (N,) of predictions (N, P); a NaN does not count, all NaN stays NaN."""
    shares = np.where(np.isnan(values), 0, np.asarray(weights, np.float64))
    total = shares.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((np.nan_to_num(values) * shares).sum(axis=1) / total, np.float64)


def combine_units(
    units: Sequence[pd.DataFrame], by: By, weights: Sequence[float], references: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    """The units of several bundles as one table.

    Args:
        units: Per bundle: `prediction_id`, `pred_*`, and `target_*` where known; the same units in any order.
        by: How.
        weights: Of the bundles.
        references: Their out-of-fold units, for ranks.
    """
    first = units[0]
    others = [table.set_index("prediction_id").loc[first["prediction_id"]] for table in units]
    columns = {}
    for name in (str(name) for name in first if str(name).startswith("pred_")):
        values = [table[name].to_numpy(np.float64) for table in others]
        if by == "rank":
            known = [table[name].to_numpy(np.float64) for table in references]
            values = [to_ranks(part, reference) for part, reference in zip(values, known, strict=True)]
        columns[name] = combine(np.stack(values, axis=1), weights)
    return first.assign(**columns)
