"""Tables of external sets: CSV or Excel, whose column titles differ in blanks, case and punctuation by release."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rsna.errors import InputError

MAX_BYTES = 512 * 1024 * 1024  # unpacked: an Excel file is a zip archive, and a hostile one grows without bound
MAX_ROWS = 1_000_000


@dataclass(frozen=True)
class Cell:
    """One column that is wanted.

    Attributes:
        name: What it is called from here on.
        titles: What it may be called in the file; the first is the usual one.
        choices: The allowed values in lower case; empty for any.
        required: Whether a table without it is refused; else it is left out.
    """

    name: str
    titles: tuple[str, ...]
    choices: tuple[str, ...] = ()
    required: bool = True


def read_sheet(path: Path, cells: Sequence[Cell], sheet: str | None = None) -> pd.DataFrame:
    """Read some columns of a table as text without blanks around it, empty where there is nothing.

    Args:
        path: .csv (also .csv.gz) or .xlsx.
        cells: The columns.
        sheet: Of an Excel file, where it has one of this name; else its first.

    Raises:
        InputError: Naming the file, and the column or the first bad row (counted from 2: row 1 is the header).
    """
    table = pick_columns(_read_text(path, sheet), cells, path)
    for cell in cells:
        if cell.name in table and cell.choices:
            bad = ~table[cell.name].str.lower().isin(cell.choices)
            if bad.any():
                row = int(bad.to_numpy().argmax())
                raise InputError(
                    f"{path}, row {row + 2}, column {cell.titles[0]}: {table[cell.name].iloc[row]!r} is not one of"
                    f" {', '.join(cell.choices)} ({int(bad.sum())} such rows)"
                )
    return table


def pick_columns(table: pd.DataFrame, cells: Sequence[Cell], path: Path) -> pd.DataFrame:
    """The wanted columns of a table of text under their new names; raises `InputError` for a missing one."""
    titles = {normal(str(title)): title for title in reversed(table.columns)}
    picked = {}
    for cell in cells:
        found = next((titles[normal(title)] for title in cell.titles if normal(title) in titles), None)
        if found is not None:
            picked[cell.name] = table[found].str.strip()
        elif cell.required:
            raise InputError(
                f"{path} lacks the column {cell.titles[0]!r}; it has {', '.join(map(str, table.columns)) or 'none'}"
            )
    return pd.DataFrame(picked)


def normal(title: str) -> str:
    """A column title by its letters and digits."""
    return re.sub(r"[^a-z0-9]", "", title.lower())


def read_workbook(path: Path) -> dict[str, pd.DataFrame]:
    """Every sheet of an Excel file as text, by its name; the first row that is not empty holds the titles.

    Raises:
        InputError: Where the file is no Excel workbook, or openpyxl is missing.
    """
    try:
        from openpyxl import load_workbook  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError(f"reading {path} needs openpyxl; install it with `pip install openpyxl`") from error
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise InputError(f"{path} unpacks to {size // 2**20} MB; it cannot be the table of a data set")
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            return {sheet.title: _from_rows(sheet.iter_rows(values_only=True), path) for sheet in book.worksheets}
        finally:
            book.close()
    except OSError as error:
        raise InputError(f"cannot read the table {path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, SyntaxError) as error:  # what broken XML leads to
        raise InputError(f"{path} is not an Excel workbook (.xlsx): {error}") from error


def _read_text(path: Path, sheet: str | None) -> pd.DataFrame:
    if path.suffix.lower() == ".xlsx":
        sheets = read_workbook(path)
        return sheets[sheet] if sheet in sheets else next(iter(sheets.values()))
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except OSError as error:
        raise InputError(f"cannot read the table {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not a CSV table: {str(error).strip()}") from error


def _from_rows(rows: Iterable[Sequence[Any]], path: Path) -> pd.DataFrame:
    filled = []
    for row in rows:
        values = [as_text(value) for value in row]
        if any(values):
            filled.append(values)
        if len(filled) > MAX_ROWS:
            raise InputError(f"{path} has more than {MAX_ROWS} rows; it cannot be the table of a data set")
    if not filled:
        return pd.DataFrame()
    width = max(len(values) for values in filled)
    padded = [values + [""] * (width - len(values)) for values in filled]
    return pd.DataFrame(padded[1:], columns=padded[0], dtype=str)


def as_text(value: Any) -> str:
    """A cell of a workbook as text; Excel keeps whole numbers as 3.0."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
