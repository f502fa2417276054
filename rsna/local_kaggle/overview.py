"""What a local Kaggle holds, in lines for a person; with the reasons that Kaggle would keep to itself."""

from __future__ import annotations

import json

from rsna.local_kaggle.faults import Faults
from rsna.local_kaggle.store import Store

RECENT = 10


def overview(store: Store) -> list[str]:
    """Data sets, the latest sessions and submissions, competitions, and the faults that are switched on."""
    parts = {
        "data sets": _datasets(store),
        "sessions": _sessions(store),
        "competitions": _competitions(store),
        "submissions": _submissions(store),
        "faults": [f"{fault.name} {fault.method}".strip() for fault in Faults(store).active()],
    }
    return [line for title, lines in parts.items() if lines for line in (f"{title}:", *(f"  {line}" for line in lines))]


def _datasets(store: Store) -> list[str]:
    query = """SELECT owner, slug, max(number) AS number, status, reason FROM dataset_versions
               JOIN datasets ON datasets.id = dataset GROUP BY dataset ORDER BY dataset"""
    return [f"{r['owner']}/{r['slug']} v{r['number']} {r['status']} {r['reason']}".strip() for r in store.rows(query)]


def _sessions(store: Store) -> list[str]:
    query = """SELECT owner, slug, number, submission, status, reason, report FROM sessions
               JOIN kernels ON kernels.id = kernel ORDER BY sessions.id DESC LIMIT ?"""
    lines = []
    for row in store.rows(query, RECENT):
        report = json.loads(row["report"])
        took = f"{report['seconds']:.1f} s{'' if report['sandboxed'] else ', no sandbox'}" if report else ""
        rerun = f" (rerun for submission {row['submission']})" if row["submission"] else ""
        lines.append(
            f"{row['owner']}/{row['slug']} v{row['number']}{rerun} {row['status']} {took} {row['reason']}".strip()
        )
    return lines


def _competitions(store: Store) -> list[str]:
    return [f"{r['name']} ({r['competition']}): {r['folder']}" for r in store.rows("SELECT * FROM competitions")]


def _submissions(store: Store) -> list[str]:
    rows = store.rows("SELECT * FROM submissions ORDER BY id DESC LIMIT ?", RECENT)
    return [f"{r['id']} {r['competition']} {r['status']} {r['error']} {r['detail']}".strip() for r in rows]
