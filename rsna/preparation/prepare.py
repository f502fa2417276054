"""From images and their table to a prepared data set: in parallel, by shards, and resumable after a kill."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import pandas as pd

from rsna.competitions import create_competition
from rsna.config import DETECTOR_FILE, PrepareConfig
from rsna.data.prepared import PreparedSpec
from rsna.data.table import check_image_table, inside
from rsna.errors import InputError, RsnaError
from rsna.imaging import DecodePool, Region, RegionFinder, check_finder
from rsna.imaging.load import MEMORY_LIMIT, TIME_LIMIT
from rsna.io import digest, file_name
from rsna.log import progress
from rsna.preparation.boxes import choose_regions, read_boxes, with_regions
from rsna.preparation.folder import FAILED_COLUMNS, claim, clear_leftovers, finish
from rsna.preparation.picture import PictureTask, write_picture
from rsna.preparation.readers import Reader
from rsna.preparation.shards import ROW, WHOLE, Shard

DECODERS = (
    "rsna",
    "numpy",
    "Pillow",
    "pydicom",
    "imagecodecs",
    "dicomsdl",
    "python-gdcm",
    "pylibjpeg",
    "pylibjpeg-libjpeg",
    "pylibjpeg-openjpeg",
    "pylibjpeg-rle",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Source:
    """What is to be prepared.

    Attributes:
        root: The folder of the files.
        table: Their image table, with the path of each below `root`.
        origin: Empty for the competition's own images; else the external set's name.
        labels: The choices that made the targets, where there were any.
        reader: How the files are read.
    """

    root: Path
    table: pd.DataFrame
    origin: str = ""
    labels: dict[str, Any] = field(default_factory=dict)
    reader: Reader = "header"


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did.

    Attributes:
        folder: The prepared set.
        images: Pictures that it, or its shard, holds now.
        kept: How many of them an earlier run had made.
        failed: One row per image that could not be used: image_id, path (in the data folder), reason.
    """

    folder: Path
    images: int
    kept: int
    failed: pd.DataFrame


def prepare(config: PrepareConfig, shard: Shard = WHOLE, limit: int | None = None) -> PrepareReport:
    """Make a prepared data set, or one shard of it, from the competition's training table; see `prepare_source`."""
    data = Path(config.env.data)
    return prepare_source(
        Source(data, create_competition(config.competition.name).train_table(data)), config, shard, limit
    )


def prepare_source(
    source: Source, config: PrepareConfig, shard: Shard = WHOLE, limit: int | None = None
) -> PrepareReport:
    """Make a prepared data set, or one shard of it.

    Run again after a kill, it keeps the pictures that are there and ends with the same bytes as an undisturbed run.

    Args:
        source: The images; what `config.env.data` says is not looked at.
        config: Where the set goes, what a picture is, and where its region comes from.
        shard: The part of the patients to handle.
        limit: Only the first images of the table.

    Raises:
        InputError: For a wrong table or detector, a folder that cannot be written, or one that holds another set.
        RsnaError: Where not a single image could be used, or the disk refused a picture.
    """
    folder = Path(config.env.prepared)
    table, regions = _with_targets(source, limit), _read_regions(source.table, config)
    if config.boxes and not config.detector:
        table = with_regions(table, regions)
    finder = RegionFinder.of(config.detector, config.box_score) if config.detector else None
    if finder is not None:
        check_finder(finder)
    claim(folder, _describe(source, config, table, regions, finder), finder.path if finder else None)
    part = shard.take(table)
    tasks = {
        image: PictureTask(inside(source.root, path), inside(folder, target), regions.get(image))
        for image, path, target in zip(part["image_id"], part["source_path"], part["path"], strict=True)
    }
    pending = {image: task for image, task in tasks.items() if not task.is_done()}
    own = replace(finder, path=folder / DETECTOR_FILE) if finder is not None else None
    reasons = _make_pictures(pending, config, source.reader, own)
    clear_leftovers({task.target.parent for task in tasks.values()} | ({folder} if shard == WHOLE else set()))
    failed = _failures(part, reasons)
    finish(folder, part[~part["image_id"].isin(list(reasons))], failed, shard.suffix)
    return PrepareReport(folder, len(part) - len(failed), len(tasks) - len(pending), failed[FAILED_COLUMNS])


def _with_targets(source: Source, limit: int | None) -> pd.DataFrame:
    """The source's table with the path of the picture as `path` and that of the file as `source_path`."""
    if limit is not None and limit < 1:
        raise InputError(f"the limit must be at least 1 image, got {limit}")
    table = check_image_table(source.table, str(source.root))
    table = table.head(limit if limit is not None else len(table))
    names = zip(table["group_id"].map(file_name), table["image_id"].map(file_name), strict=True)
    return table.assign(source_path=table["path"], path=[f"images/{group}/{image}.png" for group, image in names])


def _read_regions(table: pd.DataFrame, config: PrepareConfig) -> dict[str, Region]:
    """The regions that a table of boxes gives, by image id."""
    if not config.boxes or config.detector:
        return {}
    path, area = Path(config.boxes), config.data.imaging.roi.min_area
    return choose_regions(read_boxes(path), table["image_id"], config.box_score, area, str(path))


def _describe(
    source: Source, config: PrepareConfig, table: pd.DataFrame, regions: dict[str, Region], finder: RegionFinder | None
) -> PreparedSpec:
    rows = table[["image_id", "group_id", "source_path"]].to_numpy().tolist()
    boxes = [[image, *astuple(regions[image])] for image in table["image_id"] if image in regions]
    return PreparedSpec(
        competition=config.competition.name,
        imaging=config.data.imaging,
        images=len(table),
        image_list=digest(rows),
        source=str(source.root),
        versions=library_versions((*DECODERS, "onnxruntime") if finder else DECODERS),
        origin=source.origin,
        labels=source.labels,
        boxes=digest(boxes) if boxes else "",
        detector=finder.spec if finder is not None else None,
    )


def library_versions(names: Sequence[str]) -> dict[str, str]:
    """The versions of those libraries that are installed, and of OpenCV."""
    versions = {"opencv": cv2.__version__}  # whose distribution has several names
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _make_pictures(
    tasks: dict[str, PictureTask], config: PrepareConfig, reader: Reader, finder: RegionFinder | None
) -> dict[str, str]:
    """Make pictures in parallel; returns why an image could not be used, by image id.

    Raises:
        RsnaError: Where a picture cannot be written.
    """
    if not tasks:
        return {}
    reasons, detected = {}, 0
    images = {task: image for image, task in tasks.items()}
    function = partial(write_picture, spec=config.data.imaging, reader=reader, finder=finder)
    with DecodePool(function, config.env.workers, TIME_LIMIT, MEMORY_LIMIT) as pool:
        for outcome in progress(pool.map(images), "prepare", len(images)):
            if outcome.error is not None:
                reasons[images[outcome.task]] = outcome.error
            elif outcome.value.trouble:
                raise RsnaError(outcome.value.trouble)
            else:
                detected += outcome.value.detected
    if finder is not None:
        found, method = len(tasks) - len(reasons), config.data.imaging.roi.method
        logger.info("the detector found %d of %d regions, %s the others", detected, found, method)
    return reasons


def _failures(part: pd.DataFrame, reasons: dict[str, str]) -> pd.DataFrame:
    """The failures among a shard's images: image_id, path, reason, and the row where the shard has it."""
    failed = part[part["image_id"].isin(list(reasons))]
    failed = failed.assign(path=failed["source_path"], reason=failed["image_id"].map(reasons))
    return failed[[name for name in (*FAILED_COLUMNS, ROW) if name in failed]]
