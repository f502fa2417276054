"""Faults: what goes wrong at Kaggle now and then, by name, to be switched on by tests and rehearsals.

They live in the state folder, so that a test can switch them in a server that runs in another process.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rsna.config import load
from rsna.errors import InputError
from rsna.local_kaggle.store import Store

FAULTS = {
    "http-error": "the call `method` (every call if empty) answers `status`, the error as `body`: flat, nested or html",
    "upload-cut": "an upload answers 503 after half of the bytes",
    "upload-refused": "an upload answers 500; client 2.2.4 then makes the version without that file",
    "upload-expired": "resuming an upload answers 404",
    "download-cut": "a download breaks off after half of the bytes",
    "create-refused": "a data set or version is refused with status 200 and the error `message`",
    "tags-refused": "no tag (keyword) of a data set is known",
    "dataset-stuck": "a data set version never gets ready",
    "dataset-failed": "the processing of a data set version fails",
    "stale-status": "the status of a data set is that of its last ready version while a new one is processed",
    "wrapper-folder": "an unpacked archive has one more folder around its files",
    "unpack-any-name": "archives are unpacked under every name, .tmp and .whl included",
    "push-refused": "a push is refused with status 200 and the error `message`",
    "session-limit": "a push is refused because too many sessions run",
    "quota-exhausted": "a push with an accelerator is refused because the weekly quota is used up",
    "sources-dropped": "a push loses all its sources, with status 200",
    "session-stuck": "sessions stay queued",
    "session-failed": "a session ends with an error before it runs",
    "output-lost": "a session completes and has no output",
    "secrets-kept": "a push keeps the Kaggle secrets, which it normally loses",
    "log-cut": "the live log breaks off in the middle",
    "old-layout": "inputs are mounted at /kaggle/input/<slug>, as before 2026",
    "rules-not-accepted": "the rules of the competitions have not been accepted: no data, no submission",
}


@dataclass(frozen=True)
class Fault:
    """One fault that is switched on.

    Attributes:
        name: One of `FAULTS`.
        method: Only for this call, for instance `SaveKernel`; empty for every call that can have the fault.
        status: HTTP status of `http-error`.
        body: How `http-error` reports: as `{code, message}`, nested in `error` as api.kaggle.com does, or as a page.
        message: The reason that is given.
        retry_after: Seconds in the header `Retry-After`.
        times: How often before it switches itself off; None for ever.
    """

    name: str
    method: str = ""
    status: int = 503
    body: Literal["flat", "nested", "html"] = "flat"
    message: str = ""
    retry_after: int | None = None
    times: int | None = None


class Faults:
    """The faults of one state folder."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def switch_on(self, name: str, **parameters: Any) -> None:
        """Switch a fault on; several of one name may be on, for different methods.

        Args:
            name: One of `FAULTS`.
            **parameters: The fields of `Fault`.

        Raises:
            InputError: For an unknown name or parameter.
        """
        if name not in FAULTS:
            raise InputError(f"there is no fault {name!r}; known: {', '.join(FAULTS)}")
        fault = load(Fault, {"name": name, **parameters}, f"fault {name}")
        statement = "INSERT INTO faults (name, parameters, remaining) VALUES (?, ?, ?)"
        self.store.write(statement, name, json.dumps(asdict(fault)), fault.times)

    def switch_off(self, name: str | None = None) -> None:
        """Switch off the faults of a name, or all of them."""
        self.store.write("DELETE FROM faults WHERE ? IS NULL OR name = ?", name, name)

    def active(self) -> list[Fault]:
        """What is switched on, oldest first."""
        rows = self.store.rows("SELECT parameters, remaining FROM faults ORDER BY id")
        return [Fault(**{**json.loads(row["parameters"]), "times": row["remaining"]}) for row in rows]

    def take(self, name: str, method: str = "") -> Fault | None:
        """The fault of this name that strikes now, or None. Uses up one of its times."""
        for row in self.store.rows("SELECT * FROM faults WHERE name = ? ORDER BY id", name):
            fault = Fault(**json.loads(row["parameters"]))
            if fault.method in ("", method) and self._use_up(row["id"]):
                return fault
        return None

    def _use_up(self, fault: int) -> bool:
        with self.store.writing() as connection:
            row = connection.execute("SELECT remaining FROM faults WHERE id = ?", (fault,)).fetchone()
            if row is None:
                return False
            connection.execute("UPDATE faults SET remaining = remaining - 1 WHERE id = ?", (fault,))
            connection.execute("DELETE FROM faults WHERE remaining <= 0")
            return True
