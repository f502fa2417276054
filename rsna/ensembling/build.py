"""Make the folder of an ensemble: the bundles, and `ensemble.json` with weights and a threshold."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from rsna.competitions.thresholds import choose_threshold
from rsna.config import dump
from rsna.ensembling.blend import align, check_same_folds, compare_ways, fit_weights
from rsna.errors import InputError
from rsna.inference import Bundle
from rsna.inference.ensemble import ENSEMBLE_FILE, By, Ensemble, EnsembleSpec, Part, combine_units
from rsna.inference.schema import SPEC_FILE
from rsna.io import ensure_dir, write_json
from rsna.tracking import code_provenance

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Built:
    """An ensemble and what its parts and the ways to combine them are worth.

    Attributes:
        ensemble: As it was written.
        scores: Metrics per unit: a row per bundle and way, `weights` nested by fold.
        weights: Chosen without each fold; one row per fold, one column per bundle.
    """

    ensemble: Ensemble
    scores: pd.DataFrame
    weights: pd.DataFrame


def build_ensemble(
    folders: Sequence[Path],
    out: Path,
    by: By = "mean",
    weights: Sequence[float] = (),
    threshold: str = "best",
    overwrite: bool = False,
) -> Built:
    """Combine bundles whose out-of-fold predictions share one table of folds.

    Args:
        folders: Of the bundles; their names must differ.
        out: The ensemble's folder.
        by: `mean`, `rank`, or `weights`, which are fitted unless given.
        weights: One per bundle.
        threshold: As of `choose_threshold`.
        overwrite: Replace another ensemble.

    Raises:
        InputError: For fewer than two bundles, two of one name or content, other competitions or folds, wrong weights,
            and a folder that holds something else.
    """
    bundles = {folder.absolute().name: Bundle.open(folder) for folder in folders}
    _check(bundles, folders)
    _check_place(out, overwrite)
    competition = next(iter(bundles.values())).competition
    oofs = {name: bundle.oof() for name, bundle in bundles.items()}
    check_same_folds({bundles[name].folder: oof for name, oof in oofs.items()})
    units = {name: competition.aggregate(oof, bundles[name].spec.rule) for name, oof in oofs.items()}
    first = next(iter(oofs.values()))
    scores, nested = compare_ways(competition, units, first.groupby("prediction_id")["row_fold"].first())
    tables = align(units.values())
    shares = _shares(by, weights, len(tables)) or fit_weights(competition, tables)
    combined = combine_units(tables, by, shares, tables)
    target = competition.targets[0]
    code = code_provenance()
    spec = EnsembleSpec(
        competition=competition.name,
        by=by,
        threshold=choose_threshold(combined[target.column], combined[target.prediction], threshold),
        parts=tuple(Part(n, b.spec.digest, w) for (n, b), w in zip(bundles.items(), shares, strict=True)),
        commit=code.commit,
        dirty=code.dirty,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Built(_write(out, spec, bundles), scores, nested)


def _shares(by: By, weights: Sequence[float], count: int) -> list[float]:
    """The weights where they are not to be fitted, else none."""
    if weights:
        if by != "weights" or len(weights) != count or min(weights) < 0 or not sum(weights):
            raise InputError(f"give --weight once per bundle ({count}), none below 0, and --by weights")
        return [weight / sum(weights) for weight in weights]
    return [] if by == "weights" else [1 / count] * count


def _check(bundles: Mapping[str, Bundle], folders: Sequence[Path]) -> None:
    if len(folders) < 2 or len(bundles) < len(folders):
        raise InputError("an ensemble needs at least two bundles, in folders of different names")
    digests = {bundle.spec.digest for bundle in bundles.values()}
    if len(digests) < len(bundles):
        raise InputError("two of the bundles are the same; name each once")
    competitions = sorted({bundle.spec.competition for bundle in bundles.values()})
    if len(competitions) > 1:
        raise InputError(f"the bundles are for different competitions: {', '.join(competitions)}")


def _check_place(out: Path, overwrite: bool) -> None:
    if out.exists() and not (out / ENSEMBLE_FILE).is_file():
        raise InputError(f"{out} exists and is no ensemble; choose another --out")
    if out.exists() and not overwrite:
        raise InputError(f"{out} already holds an ensemble; choose another --out, or add --overwrite")


def _write(out: Path, spec: EnsembleSpec, bundles: Mapping[str, Bundle]) -> Ensemble:
    """Write beside the place, and give it its name only when it can be opened."""
    target = out.absolute()
    ensure_dir(target.parent)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=target.parent) as temporary:
        staged = ensure_dir(Path(temporary) / "ensemble")
        for name, bundle in bundles.items():
            ensure_dir(staged / name)
            for file in (SPEC_FILE, *bundle.spec.files()):
                shutil.copyfile(bundle.folder / file, staged / name / file)
        write_json(staged / ENSEMBLE_FILE, dump(spec))
        Ensemble.open(staged)
        if target.exists():
            target.rename(Path(temporary) / "replaced")
        staged.rename(target)
    return Ensemble.open(out)
