"""The submission file, checked against the sample before anybody else sees it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.errors import InputError
from rsna.tables import MISSING, Column

BYTE_ORDER_MARK = "\ufeff"


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
    header, rows = _read_rows(path)
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
        raise InputError(f"{where}: the id {spaced.iloc[0]!r} has spaces around it ({len(spaced)} such); strip them")
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise InputError(f"{where}: the id {repeated.iloc[0]!r} is there twice ({len(repeated)} repeated rows)")
    unknown = ids[~ids.isin(expected)]
    if len(unknown):
        raise InputError(f"{where}: the id {unknown.iloc[0]!r} is not in the sample ({len(unknown)} unknown ids)")
    missing = expected[~expected.isin(ids)]
    if len(missing):
        raise InputError(
            f"{where}: {len(missing)} of {len(expected)} ids are missing, the first is {missing.iloc[0]!r}"
        )


def _read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a CSV file as they are written, blank lines left out."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except OSError as error:
        raise InputError(f"cannot read the submission {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV table in UTF-8: {error}") from error
    if not rows:
        raise InputError(f"{path} is empty; the program that should write it has failed")
    if rows[0][0].startswith(BYTE_ORDER_MARK):
        raise InputError(f"{path} starts with a byte order mark; save it as plain UTF-8")
    return rows[0], rows[1:]


def _check_header(header: list[str], rows: list[list[str]], expected: list[str], path: Path) -> None:
    if header == expected:
        return
    found = f"its header is {','.join(header)[:200]} and must be {','.join(expected)}"
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
    raise InputError(f"{path}: {found}; the column {extra!r} is one too many")


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
            raise InputError(f"{path}, row {row + 2}, column {texts.name}: {texts.iloc[row]!r} {problem}{also}")
    return values
