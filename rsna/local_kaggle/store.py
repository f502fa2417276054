"""What the local Kaggle remembers: an SQLite database and folders of files below one state folder.

Everything that a caller has been told was stored is on disk before the answer leaves, so that a server killed at any
moment goes on where it was.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsna.io import ensure_dir

SCHEMA = """
CREATE TABLE IF NOT EXISTS uploads (
    token TEXT PRIMARY KEY, name TEXT NOT NULL, size INTEGER NOT NULL, complete INTEGER NOT NULL DEFAULT 0,
    used INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS datasets (
    id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, slug TEXT NOT NULL, title TEXT NOT NULL,
    subtitle TEXT NOT NULL, description TEXT NOT NULL, license TEXT NOT NULL, private INTEGER NOT NULL,
    keywords TEXT NOT NULL, created REAL NOT NULL, UNIQUE (owner, slug));
CREATE TABLE IF NOT EXISTS dataset_versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, dataset INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
    number INTEGER NOT NULL, notes TEXT NOT NULL, files TEXT NOT NULL, delete_old INTEGER NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', created REAL NOT NULL, UNIQUE (dataset, number));
CREATE TABLE IF NOT EXISTS kernels (
    id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, slug TEXT NOT NULL, title TEXT NOT NULL,
    language TEXT NOT NULL, type TEXT NOT NULL, created REAL NOT NULL, UNIQUE (owner, slug));
CREATE TABLE IF NOT EXISTS sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kernel INTEGER NOT NULL REFERENCES kernels ON DELETE CASCADE,
    number INTEGER NOT NULL, submission INTEGER, request TEXT NOT NULL, status TEXT NOT NULL,
    outcome TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', created REAL NOT NULL, started REAL,
    ended REAL, report TEXT NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS competitions (
    name TEXT PRIMARY KEY, folder TEXT NOT NULL, competition TEXT NOT NULL, kind TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS submissions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, competition TEXT NOT NULL, description TEXT NOT NULL,
    file_name TEXT NOT NULL, size INTEGER NOT NULL DEFAULT 0, kernel INTEGER, number INTEGER, upload TEXT,
    status TEXT NOT NULL, error TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '',
    public REAL, private REAL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, parameters TEXT NOT NULL, remaining INTEGER);
"""


class Store:
    """The state folder. A connection per operation: any thread, and a second process, may use it at once."""

    def __init__(self, state: Path) -> None:
        """Open the state folder, made where it is missing, for nobody else's eyes."""
        self.folder = ensure_dir(state).resolve()
        self.folder.chmod(0o700)
        self.uploads = ensure_dir(self.folder / "uploads")
        self.datasets = ensure_dir(self.folder / "datasets")
        self.sessions = ensure_dir(self.folder / "sessions")
        self.downloads = ensure_dir(self.folder / "downloads")
        with contextlib.closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)
            _migrate(connection)

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """All rows of a query."""
        with contextlib.closing(self._connect()) as connection:
            return connection.execute(query, values).fetchall()

    def row(self, query: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        return next(iter(self.rows(query, *values)), None)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that excludes other writers from its first statement on; kept whole or not at all."""
        with contextlib.closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def write(self, statement: str, *values: Any) -> int:
        """One statement in its own transaction; returns the id of an inserted row."""
        with self.writing() as connection:
            return connection.execute(statement, values).lastrowid or 0

    def dataset_folder(self, dataset: int, number: int) -> Path:
        """Where the files of a data set version lie once it is ready."""
        return self.datasets / str(dataset) / str(number)

    def session_folder(self, session: int) -> Path:
        """Where a session has its log and its working folder."""
        return self.sessions / str(session)

    def working_folder(self, session: int) -> Path:
        """What is `/kaggle/working` in a session, and holds its output after it."""
        return self.session_folder(session) / "working"

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.folder / "kaggle.db", timeout=30, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        return connection


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring a state folder of an earlier version up to date."""
    columns = {row[1] for row in connection.execute("PRAGMA table_info(competitions)")}
    if "kind" not in columns:
        connection.execute("ALTER TABLE competitions ADD COLUMN kind TEXT NOT NULL DEFAULT ''")
