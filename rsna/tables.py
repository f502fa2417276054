"""Tables: one column specification serves every reader. Ids are strings, also an id that reads `NA`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from rsna.errors import InputError
from rsna.io import atomic_path

Kind = Literal["id", "int", "float", "bool", "str"]
MISSING = frozenset(("", "na", "nan", "none", "null", "<na>"))  # what stands for "unknown" outside id columns


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: The column's name in the file.
        kind: `id` stays the text that was written; `int`, `float` and `bool` become float32 with NaN where nullable.
        required: Whether a table without it is refused.
        nullable: Whether a value may be missing.
        choices: The allowed values, as they are written.
    """

    name: str
    kind: Kind = "str"
    required: bool = True
    nullable: bool = False
    choices: tuple[str, ...] = ()


def read_csv(path: str | Path, columns: Sequence[Column], extra: bool = False) -> pd.DataFrame:
    """Read a CSV (also .csv.gz) by its column specification.

    Args:
        path: The file.
        columns: What it must and may hold.
        extra: Keep columns that the specification does not name, as text. Otherwise they are refused.

    Raises:
        InputError: Naming the file, the column and the first bad row (counted from 2: row 1 is the header).
    """
    source = Path(path)
    try:
        table = pd.read_csv(source, dtype=str, keep_default_na=False, index_col=False)
    except OSError as error:
        raise InputError(f"cannot read the table {source}: {error.strerror or error}") from error
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{source} is not a CSV table: {str(error).strip()}") from error
    _check_columns(source, list(table.columns), columns, extra)
    for column in columns:
        if column.name in table:
            table[column.name] = parse_column(table[column.name], column, source)
    return table


def parse_column(values: pd.Series, column: Column, source: str | Path) -> pd.Series:
    """Turn a column of text into its kind, or raise `InputError` naming the first bad row."""
    if column.kind == "id":
        _refuse(values.eq(""), values, column, source, "an empty id")
        return values
    text = values.str.strip()
    missing = text.str.lower().isin(MISSING)
    if not column.nullable:
        _refuse(missing, values, column, source, "a missing value")
    if column.choices:
        _refuse(
            ~missing & ~text.isin(column.choices), values, column, source, f"not one of {', '.join(column.choices)}"
        )
    if column.kind == "str":
        return text.mask(missing, "")
    numbers = pd.to_numeric(_as_numbers(text, column.kind).mask(missing), errors="coerce").astype(np.float64)
    _refuse(~missing & ~np.isfinite(numbers), values, column, source, "not a number")
    if column.kind != "float":
        _refuse(~missing & (numbers % 1 != 0), values, column, source, "not a whole number")
    if column.kind == "bool":
        _refuse(~missing & ~numbers.isin((0, 1)), values, column, source, "neither true nor false")
    return numbers.astype(np.float32 if column.kind != "int" else np.float64)


def _as_numbers(text: pd.Series, kind: Kind) -> pd.Series:
    return text.str.lower().replace({"true": "1", "false": "0"}) if kind == "bool" else text


def _refuse(bad: pd.Series, values: pd.Series, column: Column, source: str | Path, what: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad.to_numpy())[0])
        raise InputError(
            f"{source}, row {row + 2}, column {column.name}: {values.iloc[row]!r} is {what}"
            f"{f' ({int(bad.sum())} rows in all)' if bad.sum() > 1 else ''}"
        )


def _check_columns(source: Path, found: list[str], columns: Sequence[Column], extra: bool) -> None:
    missing = [c.name for c in columns if c.required and c.name not in found]
    if missing:
        raise InputError(f"{source} lacks the column(s) {', '.join(missing)}; it has {', '.join(found)}")
    unknown = [name for name in found if name not in {c.name for c in columns}]
    if not unknown or extra:
        return
    hint = "; an index column was written with it (use index=False)" if unknown[0].startswith("Unnamed") else ""
    raise InputError(f"{source} has the unexpected column(s) {', '.join(unknown)}{hint}")


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a CSV atomically and without the index."""
    with atomic_path(path) as part:
        table.to_csv(part, index=False, lineterminator="\n")


def write_parquet(path: str | Path, table: pd.DataFrame) -> None:
    """Write a parquet file atomically and without the index."""
    with atomic_path(path) as part:
        table.to_parquet(part, index=False)


def read_parquet(path: str | Path) -> pd.DataFrame:
    """Read a parquet file, or raise `InputError`."""
    try:
        return pd.read_parquet(path)
    except FileNotFoundError as error:
        raise InputError(f"there is no table {path}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a parquet table: {error}") from error
