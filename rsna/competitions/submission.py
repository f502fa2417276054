"""The submission file, checked against the sample before anybody else sees it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.errors import InputError
from rsna.plain import brief, listing, one_line
from rsna.tables import MISSING, Column, open_csv

BYTE_ORDER_MARK = "\ufeff"
SPARE_ROWS = 10_000  # beyond twice the sample's: enough to say what is wrong with a file that has too many


@dataclass(frozen=True)
class SubmissionFormat:
    """The columns of a submission, in their order, and what may stand in them.

    Attributes:
        id: The column of ids.
        values: The columns of predictions.
        low: The smallest value allowed.
        high: The greatest value allowed.
    """

    id: str
    values: tuple[str, ...]
    low: float = 0.0
    high: float = 1.0

    @property
    def columns(self) -> tuple[Column, ...]:
        """As a column specification."""
        return (Column(self.id, "id"), *(Column(name, "float") for name in self.values))


def read_submission(path: Path, sample: pd.DataFrame, form: SubmissionFormat) -> pd.DataFrame:
    """Read a submission strictly.

    Args:
        path: The CSV file: UTF-8, a header, no index column. The order of its rows is free.
        sample: The sample submission; its ids are the ones to predict.
        form: The columns and the range of values.

    Returns:
        Ids as text and values as float64, in the order of the file.

    Raises:
        InputError: One line about the first problem: file, row (counted from 2: row 1 is the header), column, remedy.
    """
    header, rows = _read_rows(path, most=2 * len(sample) + SPARE_ROWS)
    _check_header(header, rows, [form.id, *form.values], path)
    _check_lengths(rows, len(header), path)
    table = pd.DataFrame(rows, columns=header, dtype=object)
    check_ids(table[form.id], sample[form.id], str(path))
    for name in form.values:
        table[name] = _parse_values(table[name], form, path)
    return table.astype({form.id: sample[form.id].dtype})


def check_ids(ids: pd.Series, expected: pd.Series, where: str) -> None:
    """Check that `ids` are exactly the expected ones, in any order.

    Raises:
        InputError: For an id with spaces around it, an unknown one, one that is there twice, or one that is missing.
    """
    spaced = ids[ids != ids.str.strip()]
    if len(spaced):
        first = brief(spaced.iloc[0])
        raise InputError(f"{where}: the id {first} has spaces around it ({len(spaced)} such); strip them")
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise InputError(f"{where}: the id {brief(repeated.iloc[0])} is there twice ({len(repeated)} repeated rows)")
    unknown = ids[~ids.isin(expected)]
    if len(unknown):
        raise InputError(f"{where}: the id {brief(unknown.iloc[0])} is not in the sample ({len(unknown)} unknown ids)")
    missing = expected[~expected.isin(ids)]
    if len(missing):
        raise InputError(
            f"{where}: {len(missing)} of {len(expected)} ids are missing, the first is {brief(missing.iloc[0])}"
        )


def _read_rows(path: Path, most: int) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a CSV file as they are written, blank lines left out."""
    try:
        with open_csv(path, "the submission ") as stream, io.TextIOWrapper(stream, "utf-8", newline="") as text:
            rows = list(islice((row for row in csv.reader(text, strict=True) if row), most + 2))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV table in UTF-8: {one_line(error)}") from error
    if len(rows) > most + 1:
        raise InputError(f"{path} has more than {most} rows, far more than the sample; it cannot be a submission")
    if not rows:
        raise InputError(f"{path} is empty; the program that should write it has failed")
    if rows[0][0].startswith(BYTE_ORDER_MARK):
        raise InputError(f"{path} starts with a byte order mark; save it as plain UTF-8")
    return rows[0], rows[1:]


def _check_header(header: list[str], rows: list[list[str]], expected: list[str], path: Path) -> None:
    if header == expected:
        return
    shown = ",".join(header)
    shown = shown if shown.isprintable() and len(shown) <= 200 else listing(header)
    found = f"its header is {shown} and must be {','.join(expected)}"
    stripped = [name.strip() for name in header]
    if stripped == expected:
        raise InputError(f"{path}: {found}; there are spaces around a column name")
    if sorted(stripped) == sorted(expected):
        raise InputError(f"{path}: {found}; the columns are in another order")
    missing = [name for name in expected if name not in stripped]
    if missing:
        raise InputError(f"{path}: {found}; the column(s) {', '.join(missing)} are missing")
    extra = next((name for i, name in enumerate(stripped) if name not in expected or name in stripped[:i]))
    if _is_index([row[header.index(extra)] for row in rows if len(row) == len(header)], extra):
        raise InputError(f"{path}: {found}; an index column was written with it (use index=False)")
    raise InputError(f"{path}: {found}; the column {brief(extra)} is one too many")


def _is_index(values: list[str], name: str) -> bool:
    """Whether a column is what pandas writes for an index."""
    return not name or name.startswith("Unnamed") or values == [str(i) for i in range(len(values) or 1)]


def _check_lengths(rows: list[list[str]], length: int, path: Path) -> None:
    for number, row in enumerate(rows, start=2):
        if len(row) != length:
            raise InputError(f"{path}, row {number}: {len(row)} values where the header has {length}")


def _parse_values(texts: pd.Series, form: SubmissionFormat, path: Path) -> pd.Series:
    """A column of predictions as float64."""
    values = pd.to_numeric(texts, errors="coerce").astype(np.float64)
    missing = texts.str.strip().str.lower().isin(MISSING)
    problems = {
        "is missing": missing,
        "is not a number": values.isna(),
        f"is outside [{form.low:g}, {form.high:g}]": ~values.between(form.low, form.high),
    }
    for problem, bad in problems.items():
        if bad.any():
            row = int(np.flatnonzero(bad.to_numpy())[0])
            also = f" ({int(bad.sum())} such rows)" if bad.sum() > 1 else ""
            raise InputError(f"{path}, row {row + 2}, column {texts.name}: {brief(texts.iloc[row])} {problem}{also}")
    return values
