"""Submissions: of a file, or of a version of a notebook that is rerun on the hidden data; the leaderboard."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import threading
import time
import zipfile
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from rsna.competitions import create_competition
from rsna.local_kaggle.competitions import find_competition, takes_code
from rsna.local_kaggle.context import Context
from rsna.local_kaggle.kernel_records import KernelRecords
from rsna.local_kaggle.protocol import ApiError, Call, Handler, denied, paged, timestamp
from rsna.local_kaggle.scoring import Scoring
from rsna.local_kaggle.sessions import Sessions

TEAM = 1
CODE_ONLY = "Submission not allowed: This competition only accepts Submissions made from Notebooks."


class Submissions:
    """The calls of `competitions.CompetitionApiService` about submissions."""

    def __init__(self, context: Context, sessions: Sessions, scoring: Scoring) -> None:
        self.context = context
        self.store = context.store
        self.records = KernelRecords(context.store)
        self.sessions = sessions
        self.scoring = scoring

    def calls(self) -> dict[str, Handler]:
        """The calls by their names in the protocol."""
        return {
            "CreateCodeSubmission": self.submit_code,
            "CreateSubmission": self.submit_file,
            "DownloadLeaderboard": self.download_leaderboard,
            "GetLeaderboard": self.leaderboard,
            "GetSubmission": self.get,
            "GetSubmissionLimits": self.limits,
            "ListSubmissions": self.listing,
            "StartSubmissionUpload": self.start_upload,
        }

    def start_upload(self, call: Call) -> dict[str, Any]:
        """Announce a submission's file."""
        self._open(call)
        return self.context.blobs.start(call, name_field="fileName")

    def submit_file(self, call: Call) -> dict[str, Any]:
        """Submit an uploaded file."""
        competition = self._open(call)
        if takes_code(competition):
            raise ApiError(400, CODE_ONLY)
        upload = self.context.blobs.finished(call.body.text("blobFileTokens"))
        with self.store.writing() as connection:
            connection.execute("UPDATE uploads SET used = 1 WHERE token = ?", (upload.token,))
            names = {"size": upload.size, "upload": upload.token}
            ref = self._insert(connection, call, competition["name"], upload.name, **names)
        threading.Thread(target=self.scoring.score_upload, args=(ref,)).start()
        return _told_new(competition, ref)

    def submit_code(self, call: Call) -> dict[str, Any]:
        """Submit a version of a notebook: it is run again with the hidden test data in the place of the visible."""
        competition = self._open(call)
        kernel, version = self._submitted(call)
        request = json.loads(version["request"])
        file_name = call.body.text("fileName")
        if request["enableInternet"]:
            raise ApiError(
                400, "Your Notebook cannot use internet access in this competition. Please disable internet."
            )
        if competition["name"] not in request["competitionDataSources"]:
            raise ApiError(400, "Your Notebook does not have the data of this competition attached.")
        output = self.store.working_folder(version["id"]) / file_name
        if not file_name or "/" in file_name or not output.is_file():
            raise ApiError(400, f"Submission not allowed: the notebook has no output file '{file_name}'")
        names = {"kernel": kernel["id"], "number": version["number"], "size": output.stat().st_size}
        with self.store.writing() as connection:
            ref = self._insert(connection, call, competition["name"], file_name, **names)
            columns = "kernel, number, submission, request, status, created"
            values = (kernel["id"], version["number"], ref, version["request"], "QUEUED", time.time())
            statement = f"INSERT INTO sessions ({columns}) VALUES (?, ?, ?, ?, ?, ?)"
            session = connection.execute(statement, values).lastrowid or 0
        self.sessions.submit(session)
        return _told_new(competition, ref)

    def get(self, call: Call) -> dict[str, Any]:
        """One submission, with the reason if it failed."""
        row = self.store.row("SELECT * FROM submissions WHERE id = ?", call.body.number("ref"))
        if row is None:
            raise ApiError(404, "Submission not found")
        return self._told(row)

    def listing(self, call: Call) -> dict[str, Any]:
        """The submissions to a competition, newest first."""
        competition = find_competition(self.context, call.body.text("competitionName"))
        query = "SELECT * FROM submissions WHERE competition = ? ORDER BY id DESC"
        page, token = paged(self.store.rows(query, competition["name"]), call.body)
        return {"submissions": [self._told(row) for row in page], "nextPageToken": token}

    def limits(self, call: Call) -> dict[str, Any]:
        """How many submissions were made, and are left today."""
        name = find_competition(self.context, call.body.text("competitionName"))["name"]
        row = self.store.row("SELECT count(*) FROM submissions WHERE competition = ?", name)
        today, allowed = self._today(name), self.context.settings.submissions_per_day
        return {"numToday": today, "numTotal": row[0] if row else 0, "numAllowedNow": max(allowed - today, 0)}

    def leaderboard(self, call: Call) -> dict[str, Any]:
        """The public leaderboard: the one team with its best score."""
        rows, token = paged(self._ranking(call, "public"), call.body)
        return {"submissions": rows, "nextPageToken": token}

    def download_leaderboard(self, call: Call) -> Response:
        """Both leaderboards, the private one included, as CSV files in a zip archive."""
        name, buffer = call.body.text("competitionName"), io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for part in ("public", "private"):
                text = io.StringIO()
                writer = csv.writer(text)
                writer.writerow(["TeamId", "TeamName", "LastSubmissionDate", "Score"])
                for row in self._ranking(call, part):
                    writer.writerow([row["teamId"], row["teamName"], row["submissionDate"], row["score"]])
                archive.writestr(f"{name}-{part}leaderboard.csv", text.getvalue())
        return Response(buffer.getvalue(), media_type="application/zip")

    def _ranking(self, call: Call, part: str) -> list[dict[str, Any]]:
        row = find_competition(self.context, call.body.text("competitionName"))
        order = "DESC" if create_competition(row["competition"]).monitor_mode == "max" else "ASC"
        query = f"""SELECT {part} AS score, created FROM submissions
                    WHERE competition = ? AND status = 'COMPLETE' ORDER BY public {order} LIMIT 1"""
        team = {"teamId": TEAM, "teamName": self.context.user}
        return [
            {**team, "submissionDate": timestamp(best["created"]), "score": _score(best["score"])}
            for best in self.store.rows(query, row["name"])
        ]

    def _open(self, call: Call) -> sqlite3.Row:
        """The competition of a submission, or `ApiError` where it takes none now."""
        row = find_competition(self.context, call.body.text("competitionName"))
        if self.context.faults.take("rules-not-accepted"):
            raise ApiError(403, "You must accept this competition's rules before you can submit.")
        limit = self.context.settings.submissions_per_day
        if self._today(row["name"]) >= limit:
            raise ApiError(
                400, f"Your team has used its daily Submission allowance ({limit}) today, try again tomorrow."
            )
        return row

    def _submitted(self, call: Call) -> tuple[sqlite3.Row, sqlite3.Row]:
        """The kernel and the version that a code submission names; it must have run to its end."""
        body = call.body
        kernel = self.records.named(body.text("kernelOwner"), body.text("kernelSlug"))
        if kernel is None:
            raise denied("kernels.get")
        number = body.number("kernelVersion")
        version = self.records.version(kernel["id"], number) if number else None
        if version is None or version["status"] != "COMPLETE":
            raise ApiError(400, f"Submission not allowed: version {number} of the notebook has not completed")
        return kernel, version

    def _insert(
        self, connection: sqlite3.Connection, call: Call, competition: str, file_name: str, **values: Any
    ) -> int:
        values |= {"competition": competition, "file_name": file_name, "status": "PENDING", "created": time.time()}
        values["description"] = call.body.text("submissionDescription")
        marks = ", ".join("?" * len(values))
        statement = f"INSERT INTO submissions ({', '.join(values)}) VALUES ({marks})"
        return connection.execute(statement, tuple(values.values())).lastrowid or 0

    def _today(self, competition: str) -> int:
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        query = "SELECT count(*) FROM submissions WHERE competition = ? AND created >= ?"
        row = self.store.row(query, competition, midnight)
        return row[0] if row else 0

    def _told(self, row: sqlite3.Row) -> dict[str, Any]:
        return {
            "ref": row["id"],
            "totalBytes": row["size"],
            "date": timestamp(row["created"]),
            "description": row["description"],
            "errorDescription": row["error"],
            "fileName": row["file_name"],
            "publicScore": _score(row["public"]),
            "privateScore": _score(row["private"]),
            "status": row["status"],
            "submittedBy": self.context.user,
            "submittedByRef": self.context.user,
            "teamName": self.context.user,
        }


def _told_new(competition: sqlite3.Row, ref: int) -> dict[str, Any]:
    title = create_competition(competition["competition"]).title
    return {"message": f"Successfully submitted to {title}", "ref": ref}


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"
