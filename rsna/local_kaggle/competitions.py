"""Competitions: folders of data that were registered by name."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

from starlette.responses import RedirectResponse, Response

from rsna.competitions import create_competition
from rsna.errors import InputError
from rsna.local_kaggle.competition_data import check_folder, visible_files
from rsna.local_kaggle.context import Context
from rsna.local_kaggle.files import write_zip
from rsna.local_kaggle.listings import wants_competition
from rsna.local_kaggle.protocol import ApiError, Call, Handler, paged, timestamp
from rsna.local_kaggle.store import Store

KINDS = ("code", "file")
DEADLINE = 4102444800.0  # 2100: a rehearsal is never too late


def add_competition(store: Store, name: str, folder: Path, competition: str, kind: str = "") -> None:
    """Register a competition's folder, or replace the one of that name.

    Args:
        store: Of the local Kaggle, whether its server runs or not.
        name: The slug.
        folder: `{train,test,sample_submission}.csv`, images, and `hidden/` with the same of the hidden test and
            `solution.csv`. It is read where it is, and must stay there.
        competition: Which of `rsna.competitions` checks and scores.
        kind: `code` or `file`: what it takes; '' for what the competition takes.

    Raises:
        InputError: For a bad slug, a folder that lacks a file, an unknown competition or kind.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise InputError(f"{name!r} is no competition name; use lower-case letters, digits and single hyphens")
    create_competition(competition)
    check_folder(folder)
    if kind not in ("", *KINDS):
        raise InputError(f"there is no kind of competition {kind!r}; there are {', '.join(KINDS)}")
    values = (name, str(folder.resolve()), competition, kind)
    store.write("REPLACE INTO competitions (name, folder, competition, kind) VALUES (?, ?, ?, ?)", *values)


def takes_code(row: sqlite3.Row) -> bool:
    """Whether a competition takes notebooks, and no files."""
    return (row["kind"] or create_competition(row["competition"]).kind) == "code"


def find_competition(context: Context, name: str) -> sqlite3.Row:
    """The competition of a request, or `ApiError` 404."""
    row = context.store.row("SELECT * FROM competitions WHERE name = ?", name)
    if row is None:
        raise ApiError(404, "Competition not found")
    return row


class Competitions:
    """The calls of `competitions.CompetitionApiService` about a competition and its data."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.store = context.store

    def calls(self) -> dict[str, Handler]:
        """The calls by their names in the protocol."""
        return {
            "DownloadDataFile": self.download_file,
            "DownloadDataFiles": self.download_files,
            "GetCompetition": self.get,
            "ListCompetitions": self.listing,
            "ListDataFiles": self.files,
        }

    def get(self, call: Call) -> dict[str, Any]:
        """One competition."""
        return self._told(find_competition(self.context, call.body.text("competitionName")))

    def listing(self, call: Call) -> dict[str, Any]:
        """The competitions that are asked for, by name: prize, deadline and teams of all of them are the same."""
        told = [(row, self._told(row)) for row in self.store.rows("SELECT * FROM competitions ORDER BY name")]
        wanted = [answer for row, answer in told if wants_competition(row, answer["title"], call.body)]
        page, token = paged(wanted, call.body)
        return {"competitions": page, "nextPageToken": token}

    def files(self, call: Call) -> dict[str, Any]:
        """The data files, a page at a time."""
        row = self._accepted(call)
        page, token = paged(visible_files(Path(row["folder"])), call.body)
        told = [{"name": f.name, "totalBytes": f.size, "creationDate": timestamp(f.modified)} for f in page]
        return {"files": told, "nextPageToken": token}

    def download_file(self, call: Call) -> Response:
        """One data file."""
        row, name = self._accepted(call), call.body.text("fileName")
        path = next((file.path for file in visible_files(Path(row["folder"])) if file.name == name), None)
        if path is None:
            raise ApiError(404, "File not found")
        return RedirectResponse(self.context.links.address(call.base, path), 302)

    def download_files(self, call: Call) -> Response:
        """All data files as a zip archive."""
        row = self._accepted(call)
        files = visible_files(Path(row["folder"]))
        state = json.dumps([(file.name, file.size, file.modified) for file in files])
        mark = hashlib.sha256(state.encode()).hexdigest()[:16]
        path = self.store.downloads / f"competition-{row['name']}-{mark}" / f"{row['name']}.zip"
        if not path.exists():
            write_zip(path, files)
        return RedirectResponse(self.context.links.address(call.base, path), 302)

    def _accepted(self, call: Call) -> sqlite3.Row:
        if self.context.faults.take("rules-not-accepted"):
            raise ApiError(403, "You must accept this competition's rules before you'll be able to download files.")
        return find_competition(self.context, call.body.text("competitionName"))

    def _told(self, row: sqlite3.Row) -> dict[str, Any]:
        return {
            "id": int(hashlib.sha256(row["name"].encode()).hexdigest()[:7], 16),
            "ref": f"https://www.kaggle.com/competitions/{row['name']}",
            "url": f"https://www.kaggle.com/competitions/{row['name']}",
            "title": create_competition(row["competition"]).title,
            "category": "Research",
            "reward": "Kudos",
            "deadline": timestamp(DEADLINE),
            "teamCount": 1,
            "userHasEntered": True,
            "maxDailySubmissions": self.context.settings.submissions_per_day,
            "isKernelsSubmissionsOnly": takes_code(row),
        }
