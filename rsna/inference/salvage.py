"""The tables of a test folder; in a scoring rerun also those that are not what they should be.

There nobody can look, and one odd row must not cost the rows beside it: what can be used is used, and every unit of the
sample that no usable row names gets a row of its own, which is filled in with a prior.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from rsna.competitions import Competition
from rsna.competitions.submission import check_ids
from rsna.errors import InputError
from rsna.inference.options import is_rerun
from rsna.io import read_bytes
from rsna.tables import CONTROL, MAX_COLUMNS, MAX_TABLE_BYTES, Column, parse_column

logger = logging.getLogger(__name__)

TEST_FILE, SAMPLE_FILE = "test.csv", "sample_submission.csv"


@dataclass(frozen=True, eq=False)
class Tables:
    """What is to be predicted.

    Attributes:
        table: The image table.
        sample: The sample submission, whose units are those of the table.
        unusable: Rows of the table that stand for a unit without an image, with the reason.
        problems: What was wrong, in words; nothing in a visible run, which fails.
    """

    table: pd.DataFrame
    sample: pd.DataFrame
    unusable: dict[int, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def read_tables(competition: Competition, data: Path) -> Tables:
    """Read test table and sample below a folder, and compare what they ask for.

    Raises:
        InputError: In a visible run for anything that is wrong; in a rerun only where neither names a unit.
    """
    problems: list[str] = []
    table = _strictly(lambda: competition.test_table(data), problems)
    sample = _strictly(lambda: competition.sample_submission(data), problems)
    if table is not None and sample is not None:
        units, wanted = table["prediction_id"].drop_duplicates(), sample[competition.format.id]
        _strictly(lambda: check_ids(units, wanted, str(data / TEST_FILE)), problems)
        _strictly(lambda: check_ids(wanted, wanted, str(data / SAMPLE_FILE)), problems)  # none is there twice
        if not problems:
            return Tables(table, sample)
    usable = _usable_rows(competition, data / TEST_FILE) if table is None else table
    found = [] if usable is None else usable["prediction_id"].drop_duplicates().tolist()
    asked = _sample_ids(competition, data / SAMPLE_FILE) or found
    if not asked:
        raise InputError("; ".join(problems))
    return _reconcile(competition, data, usable, asked, problems)


def _strictly(read: Callable[[], pd.DataFrame | None], problems: list[str]) -> pd.DataFrame | None:
    """What a function returns; in a rerun None where it refuses, whose reason is added."""
    try:
        return read()
    except InputError as error:
        if not is_rerun():
            raise
        problems.append(str(error))
        return None


def _reconcile(
    competition: Competition, data: Path, usable: pd.DataFrame | None, asked: list[str], problems: list[str]
) -> Tables:
    """The usable rows of the units that are asked for, and after them a row for every other unit."""
    form, parts = competition.format, []
    if usable is not None:
        stripped = usable.assign(prediction_id=usable["prediction_id"].str.strip())
        parts.append(stripped[stripped["prediction_id"].isin(asked)])
        problems.append(f"{len(parts[0])} rows of {data / TEST_FILE} are used")
    known = set(parts[0]["prediction_id"]) if parts else set()
    lost = [unit for unit in asked if unit not in known]
    if lost:
        parts.append(_placeholders(competition, lost, data / TEST_FILE))
        problems.append(f"{len(lost)} of {len(asked)} units have no usable row in {data / TEST_FILE}")
    table = pd.concat(parts, ignore_index=True)
    reason = f"no usable row of {TEST_FILE} names an image of it"
    unusable = dict.fromkeys(range(len(table) - len(lost), len(table)), reason)
    sample = pd.DataFrame({form.id: asked} | dict.fromkeys(form.values, 0.0))
    return Tables(table, sample, unusable, tuple(problems))


def _placeholders(competition: Competition, units: list[str], source: Path) -> pd.DataFrame:
    """Rows of an image table that say nothing but the unit."""
    raw = {c.name: _column(units if c.kind == "id" else [""] * len(units), c, source) for c in competition.test_columns}
    return competition.image_table(pd.DataFrame(raw), "nowhere", source)


def _sample_ids(competition: Competition, source: Path) -> list[str]:
    """The ids that a sample names, each once."""
    ids = _read_rows(source).get(competition.format.id, pd.Series(dtype=str)).str.strip()
    return ids[_is_id(ids)].drop_duplicates().tolist()


def _usable_rows(competition: Competition, source: Path) -> pd.DataFrame | None:
    """The image table of the rows whose ids can be used; any other value that is wrong becomes unknown."""
    raw, ids = _read_rows(source), [column.name for column in competition.test_columns if column.kind == "id"]
    for name in ids:
        raw = raw[_is_id(raw[name])] if name in raw else raw
    raw = raw.drop_duplicates("image_id" if "image_id" in raw else None).reset_index(drop=True)
    if raw.empty or any(name not in raw for name in ids if name != competition.format.id):
        return None
    known = [column for column in competition.test_columns if column.name in raw or column.kind != "id"]
    columns = {c.name: _column(raw.get(c.name, [""] * len(raw)), c, source) for c in known}
    try:
        table = competition.image_table(pd.DataFrame(columns), "test_images", source)
    except (InputError, KeyError) as error:  # a competition need not know its units without their column
        logger.error("no row of %s can be used: %s", source, error)
        return None
    first = table.groupby("prediction_id")["group_id"].transform("first")
    return table[table["group_id"] == first].reset_index(drop=True)


def _column(values: list[str] | pd.Series, column: Column, source: Path) -> pd.Series:
    """A parsed column in which what cannot be parsed is unknown."""
    lenient, texts = replace(column, nullable=True), pd.Series(values, dtype=object)
    bad = []
    for text in texts.unique():
        try:
            parse_column(pd.Series([text], dtype=object), lenient, source)
        except InputError:
            bad.append(text)
    return parse_column(texts.mask(texts.isin(bad), ""), lenient, source)


def _is_id(ids: pd.Series) -> pd.Series:
    return ids.ne("") & ~ids.str.contains(CONTROL)


def _read_rows(source: Path) -> pd.DataFrame:
    """The lines of a CSV file that have as many values as its header, as text; none where it cannot be read.

    Line by line: a stray quotation mark must not swallow what follows.
    """
    try:
        text = read_bytes(source, MAX_TABLE_BYTES).decode("utf-8-sig", "replace")
    except InputError as error:
        logger.error("%s", error)
        return pd.DataFrame()
    rows: list[list[str]] = []
    for line in filter(None, text.replace("\r", "\n").split("\n")):
        with suppress(csv.Error):  # a field of more than 128 kB
            rows += csv.reader([line])
    if not rows or len(rows[0]) > MAX_COLUMNS:
        return pd.DataFrame()
    header = [name.strip() for name in rows[0]]
    table = pd.DataFrame([row for row in rows[1:] if len(row) == len(header)], columns=header, dtype=object)
    return table.loc[:, ~table.columns.duplicated()]
