"""The notebook `prepare` on Kaggle: the mounted competition becomes a prepared set, or one shard of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsna.config import PrepareConfig
from rsna.config.compose import compose
from rsna.errors import InputError
from rsna.kernel.bootstrap import INPUT, WORKING, find_mounts
from rsna.log import setup_logging
from rsna.preparation.prepare import PrepareReport, prepare
from rsna.preparation.shards import Shard

logger = logging.getLogger(__name__)

COMPETITION_FILES = ("sample_submission.csv", "train.csv")
SHOWN = 5  # failures that the log names


def main(pushed: Mapping[str, Any], root: Path = INPUT, out: Path = WORKING) -> PrepareReport:
    """Prepare what the notebook was pushed for, into `prepared/` of its output.

    Args:
        pushed: The notebook's first line: `overrides` of `rsna prepare`, `shard`.
        root: Where data sets and competition are mounted.
        out: Where the output goes.

    Raises:
        InputError: Where no competition is mounted, or the overrides do not fit.
        RsnaError: Where not a single image could be used.
    """
    setup_logging()
    data = find_competition(root)
    if data is None:
        raise InputError(f"no competition below {root}: is it attached, and were its rules accepted in the browser?")
    set_places(out, data, out / "prepared")
    config = compose(PrepareConfig, "prepare", ["env=kaggle", *pushed.get("overrides", ())])
    shard = Shard.parse(pushed.get("shard", "1/1"))
    logger.info("preparing shard %s of %s", shard, data)
    report = prepare(config, shard)
    logger.info("%s: %d pictures", report.folder, report.images)
    if len(report.failed):
        logger.error("%d images FAILED and are not in the set; failed*.csv lists them:", len(report.failed))
    for row in report.failed.head(SHOWN).itertuples():
        logger.error("%s: %s", row.path, row.reason)
    return report


def find_competition(root: Path) -> Path | None:
    """The mounted folder of a competition with its training data, None where there is none."""
    marker, *others = COMPETITION_FILES
    return next((f for f in find_mounts(marker, root) if all((f / name).is_file() for name in others)), None)


def set_places(out: Path, data: Path | None, prepared: Path, folds: Path | None = None) -> None:
    """Tell `conf/env/kaggle.yaml` where things are.

    Args:
        out: Where the output goes.
        data: The competition's files, None where they are not mounted.
        prepared: The prepared set.
        folds: The table of folds, None for the prepared set's own.
    """
    places = {"RSNA_DATA": data, "RSNA_PREPARED": prepared, "RSNA_FOLDS": folds, "RSNA_WORKING": out}
    os.environ.update({name: str(place or "") for name, place in places.items()})
