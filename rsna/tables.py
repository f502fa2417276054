"""Tables: one column specification serves every reader. Ids are strings, also an id that reads `NA`.

Tables come out of data sets, so they are read within limits, whatever they unpack to.
"""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pandas as pd

from rsna.errors import InputError
from rsna.io import atomic_path, open_file
from rsna.plain import brief, listing, one_line, parse_json

MAX_TABLE_BYTES = 256 * 2**20  # unpacked; the largest table of a competition so far has 130 MB
MAX_LINE = 2**20  # bytes
MAX_CELLS = 2**26
MAX_COLUMNS = 2000
CONTROL = r"[\x00-\x1f\x7f]"
MAX_WHOLE = 2**53  # beyond it a float no longer holds every whole number

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
    names = [str(name) for name in _parse_csv(source, rows=0).columns]
    _check_columns(source, names, columns, extra)
    most = MAX_CELLS // len(names)
    table = _parse_csv(source, rows=most + 1)
    if len(table) > most:
        raise InputError(f"{source} has more than {most} rows; it cannot be what it should be")
    for column in columns:
        if column.name in table:
            table[column.name] = parse_column(table[column.name], column, source)
    return table


def _parse_csv(source: Path, rows: int) -> pd.DataFrame:
    """The first rows of a CSV file as text."""
    try:
        with open_csv(source) as stream, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with more values than the header has names
            return pd.read_csv(stream, dtype=str, keep_default_na=False, index_col=False, nrows=rows)
    except (ValueError, OverflowError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise InputError(f"{source} is not a CSV table: {one_line(error)}") from error


def open_csv(path: str | Path, what: str = "the table ") -> IO[bytes]:
    """Open a CSV file (unpacked where it is a .csv.gz) whose size and lines are checked while it is read.

    Raises:
        InputError: Also while reading: it is too large, has a line of more than 1 MB, a NUL byte, or is damaged.
    """
    source = Path(path)
    return io.BufferedReader(_CheckedStream(open_file(source, MAX_TABLE_BYTES, what), source), 2**16)


class _CheckedStream(io.RawIOBase):
    """The bytes of a table, checked as they pass."""

    def __init__(self, file: IO[bytes], source: Path) -> None:
        self._file, self._source = file, source
        self._stream: IO[bytes] = gzip.GzipFile(fileobj=file) if source.suffix == ".gz" else file  # type: ignore[assignment]
        self._count = self._line = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._stream.read(len(buffer))
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{self._source} cannot be unpacked: {one_line(error)}") from error
        self._check(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def _check(self, chunk: bytes) -> None:
        parts = chunk.replace(b"\r", b"\n").split(b"\n")
        self._count, self._line = self._count + len(chunk), self._line + len(parts[0])
        longest = max(self._line, *map(len, parts))
        if len(parts) > 1:
            self._line = len(parts[-1])
        if self._count > MAX_TABLE_BYTES:
            problem = f"is larger than {MAX_TABLE_BYTES // 2**20} MB"
        elif longest > MAX_LINE:
            problem = f"has a line of more than {MAX_LINE // 2**20} MB"
        elif any(len(part) > MAX_COLUMNS and part.count(b",") >= MAX_COLUMNS for part in parts):
            problem = f"has more than {MAX_COLUMNS} columns"
        elif b"\0" in chunk:
            problem = "holds a NUL byte"
        else:
            return
        raise InputError(f"{self._source} {problem}; it cannot be what it should be")

    def close(self) -> None:
        self._file.close()
        super().close()


def parse_column(values: pd.Series, column: Column, source: str | Path) -> pd.Series:
    """Turn a column of text into its kind, or raise `InputError` naming the first bad row."""
    if column.kind == "id":
        _refuse(values.eq(""), values, column, source, "an empty id")
        _refuse(values.str.contains(CONTROL), values, column, source, "an id with control characters")
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
    if column.kind != "int":
        with np.errstate(over="ignore"):
            numbers = numbers.astype(np.float32)
    _refuse(~missing & ~np.isfinite(numbers), values, column, source, "not a number")
    if column.kind != "float":
        _refuse(~missing & (numbers % 1 != 0), values, column, source, "not a whole number")
        _refuse(~missing & (numbers.abs() > MAX_WHOLE), values, column, source, "too large")
    if column.kind == "bool":
        _refuse(~missing & ~numbers.isin((0, 1)), values, column, source, "neither true nor false")
    return numbers


def _as_numbers(text: pd.Series, kind: Kind) -> pd.Series:
    return text.str.lower().replace({"true": "1", "false": "0"}) if kind == "bool" else text


def _refuse(bad: pd.Series, values: pd.Series, column: Column, source: str | Path, what: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad.to_numpy())[0])
        raise InputError(
            f"{source}, row {row + 2}, column {column.name}: {brief(values.iloc[row])} is {what}"
            f"{f' ({int(bad.sum())} rows in all)' if bad.sum() > 1 else ''}"
        )


def _check_columns(source: Path, found: list[str], columns: Sequence[Column], extra: bool) -> None:
    missing = [c.name for c in columns if c.required and c.name not in found]
    if missing:
        raise InputError(f"{source} lacks the column(s) {', '.join(missing)}; it has {listing(found)}")
    unknown = [name for name in found if name not in {c.name for c in columns}]
    if not unknown or extra:
        return
    hint = "; an index column was written with it (use index=False)" if unknown[0].startswith("Unnamed") else ""
    raise InputError(f"{source} has the unexpected column(s) {listing(unknown)}{hint}")


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a CSV atomically and without the index."""
    with atomic_path(path) as part:
        table.to_csv(part, index=False, lineterminator="\n")


def write_parquet(path: str | Path, table: pd.DataFrame) -> None:
    """Write a parquet file atomically and without the index."""
    with atomic_path(path) as part:
        table.to_parquet(part, index=False)


def read_parquet(path: str | Path) -> pd.DataFrame:
    """Read a parquet file of plain columns. Of what pandas wrote about itself, only `attrs` counts.

    Raises:
        InputError: It is missing, damaged, too large once unpacked, or has columns that are not text or numbers.
    """
    try:
        with open_file(path, MAX_TABLE_BYTES, "the table ") as file:
            return _read_plain_columns(file, path)
    except InputError:
        raise
    except (OSError, ValueError, TypeError, LookupError, NotImplementedError, OverflowError, MemoryError) as error:
        raise InputError(f"{path} is not a parquet table: {one_line(error)}") from error


def _read_plain_columns(file: IO[bytes], path: str | Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    limits = {"thrift_string_size_limit": MAX_LINE * 16, "thrift_container_size_limit": 2**20}
    with closing(pq.ParquetFile(file, pre_buffer=False, **limits)) as parquet:
        schema = parquet.schema_arrow
        _check_schema(schema, parquet.metadata.num_rows, path)
        batches, taken = [], 0
        for batch in parquet.iter_batches(batch_size=2**11, use_threads=False):
            batches.append(batch)
            taken += batch.nbytes
            if taken > 4 * MAX_TABLE_BYTES:
                raise InputError(f"{path} unpacks to more than {4 * MAX_TABLE_BYTES // 2**20} MB")
    whole = pa.Table.from_batches(batches, schema=schema)
    whole.validate(full=True)  # text that is no UTF-8 would fail only where it is used
    table = whole.to_pandas(ignore_metadata=True)
    table.attrs = _read_attrs(schema.metadata or {}, path)
    return table


def _check_schema(schema: Any, rows: int, path: str | Path) -> None:
    import pyarrow.types as kinds

    if len(schema) > MAX_COLUMNS or rows * len(schema) > MAX_CELLS:
        raise InputError(f"{path} has {rows} rows of {len(schema)} columns; it cannot be what it should be")
    if len(set(schema.names)) < len(schema):
        raise InputError(f"{path} has two columns of one name")
    plain = (
        kinds.is_string,
        kinds.is_large_string,
        kinds.is_integer,
        kinds.is_floating,
        kinds.is_boolean,
        kinds.is_null,
    )
    odd = [field.name for field in schema if not any(check(field.type) for check in plain)]
    if odd:
        raise InputError(f"{path} has columns that are neither text nor numbers: {listing(odd)}")


def _read_attrs(metadata: dict[bytes, bytes], path: str | Path) -> dict[Any, Any]:
    content = metadata.get(b"PANDAS_ATTRS", b"{}")
    attrs = parse_json(content, f"the attributes of {path}")
    return attrs if isinstance(attrs, dict) else {}
