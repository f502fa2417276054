"""Which of the things here a list asks for, and in which order; nobody votes here, so that votes order nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from rsna.local_kaggle.files import File, total_size
from rsna.local_kaggle.protocol import Message

LICENSES = {
    "CC": ("cc",),
    "GPL": ("gpl", "lgpl", "agpl"),
    "ODB": ("odbl", "dbcl", "odc"),
}  # what their names begin with
IMAGES = (".png", ".jpg", ".jpeg", ".svg", ".gif")
OPEN_TABS = ("", "EVERYTHING", "GENERAL", "ENTERED")  # the tabs of a competition that one has entered
CATEGORIES = ("", "RESEARCH", "UNSPECIFIED")  # of every competition here


def choice(body: Message, name: str, prefix: str) -> str:
    """What a request chooses by an enumeration, without the enumeration's name; '' by default."""
    return body.text(name).upper().removeprefix(prefix)


def wants_dataset(row: sqlite3.Row, files: Sequence[File], keywords: Iterable[str], body: Message) -> bool:
    """Whether a data set is among those that a list asks for by owner, words, tags, licence, file type and size."""
    mine_or_public = body.text("user") or choice(body, "group", "DATASET_SELECTION_GROUP_") not in ("", "PUBLIC")
    tags = {tag for tag in body.text("tagIds").lower().split(",") if tag}
    size, least, most = total_size(files), body.number("minSize"), body.number("maxSize")
    return (
        (bool(mine_or_public) or not row["private"])
        and body.text("user") in ("", row["owner"])
        and body.text("search").lower() in f"{row['owner']}/{row['slug']} {row['title']}".lower()
        and (not tags or bool(tags & {word.lower() for word in keywords}))
        and _has_license(row["license"], choice(body, "license", "DATASET_LICENSE_GROUP_"))
        and _has_type(files, choice(body, "fileType", "DATASET_FILE_TYPE_GROUP_"))
        and size >= least
        and (not most or size <= most)
    )


def _has_license(name: str, group: str) -> bool:
    if group in ("", "ALL"):
        return True
    groups = [known for known, beginnings in LICENSES.items() if name.lower().startswith(beginnings)]
    return group in (groups or ["OTHER"])


def _has_type(files: Sequence[File], group: str) -> bool:
    """Whether a file has the type; BigQuery's sets are no files, so that there are none here."""
    return group in ("", "ALL") or any(PurePosixPath(f.name).suffix.upper() == f".{group}" for f in files)


def wants_kernel(kernel: sqlite3.Row, request: dict[str, Any], output: Sequence[File], body: Message) -> bool:
    """Whether a kernel is among those that a list asks for; none is a copy of another one here."""
    dataset, competition = body.text("dataset"), body.text("competition")
    mine_or_public = body.text("user") or choice(body, "group", "KERNELS_LIST_VIEW_TYPE_") == "PROFILE"
    return (
        (bool(mine_or_public) or not request["isPrivate"])
        and body.text("user") in ("", kernel["owner"])
        and body.text("search").lower() in f"{kernel['slug']} {kernel['title']}".lower()
        and body.text("language") in ("", "all", kernel["language"])
        and body.text("kernelType") in ("", "all", kernel["type"])
        and not body.text("parentKernel")
        and (not dataset or dataset in request["datasetDataSources"])
        and (not competition or competition in request["competitionDataSources"])
        and _has_output(output, body.text("outputType"))
    )


def _has_output(output: Sequence[File], kind: str) -> bool:
    written = [file.name.lower() for file in output if not file.name.startswith("__")]
    if kind == "data":
        return bool(written)
    return kind != "visualization" or any(name.endswith(IMAGES) for name in written)


def wants_competition(row: sqlite3.Row, title: str, body: Message) -> bool:
    """Whether a competition is among those that a list asks for by words, tab and category."""
    return (
        body.text("search").lower() in f"{row['name']} {title}".lower()
        and choice(body, "group", "COMPETITION_LIST_TAB_") in OPEN_TABS
        and choice(body, "category", "HOST_SEGMENT_") in CATEGORIES
    )
