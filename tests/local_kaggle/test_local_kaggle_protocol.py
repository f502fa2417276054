"""The wire format, checked against the client's own parsers; mounts, computed without a server."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaggle_lab import SETTINGS
from kagglesdk.kaggle_object import DateTimeSerializer, TimeDeltaSerializer
from slugify import slugify as clients_slugify

from rsna.local_kaggle.blobs import Blobs
from rsna.local_kaggle.competitions import add_competition, takes_code
from rsna.local_kaggle.context import Context
from rsna.local_kaggle.faults import Faults
from rsna.local_kaggle.files import list_files, remove_links, remove_tree
from rsna.local_kaggle.links import Links
from rsna.local_kaggle.mounts import Mounts
from rsna.local_kaggle.protocol import ApiError, Message, duration, paged, slugify, timestamp
from rsna.local_kaggle.store import Store


@given(st.floats(0, 4e9))
def test_dates_are_what_the_client_reads(seconds: float) -> None:
    read = DateTimeSerializer._from_str(timestamp(seconds)).replace(tzinfo=UTC)
    assert abs(read - datetime.fromtimestamp(seconds, UTC)) < timedelta(milliseconds=1)


@given(st.integers(0, 10**6))
def test_durations_are_what_the_client_reads(seconds: int) -> None:
    assert TimeDeltaSerializer._from_dict_value(duration(seconds)) == timedelta(seconds=seconds)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters=",&"), max_size=40))
def test_slugs_are_those_of_the_client(title: str) -> None:
    """But for commas inside numbers and HTML entities, which no title of ours has."""
    assert slugify(title) == clients_slugify(title)


@pytest.mark.parametrize("title", ["Ünïcode Tïtle", "don't", "a__b", "  x  y ", "v1.2.3"])
def test_slugs_of_odd_titles(title: str) -> None:
    assert slugify(title) == clients_slugify(title)


@given(st.integers(0, 500), st.integers(0, 300))
def test_pages_make_up_the_whole(count: int, size: int) -> None:
    """By token, and by number, every item comes once."""
    items = list(range(count))
    first, token = paged(items, Message({"pageSize": size}))
    found = first
    while token:
        page, token = paged(items, Message({"pageSize": size, "pageToken": token}))
        found = found + page
    assert found == items
    assert paged(items, Message({"pageSize": size, "page": 2}))[0] == items[len(first) : 2 * len(first)]


@pytest.mark.parametrize(
    ("read", "value"),
    [
        ("text", 1),
        ("number", "1"),
        ("number", True),
        ("flag", "true"),
        ("texts", [1]),
        ("message", []),
        ("messages", [1]),
    ],
)
def test_values_of_a_wrong_type_are_refused(read: str, value: Any) -> None:
    with pytest.raises(ApiError) as error:
        getattr(Message({"field": value}), read)("field")
    assert error.value.status == 400


@pytest.fixture
def context(tmp_path: Path) -> Context:
    store = Store(tmp_path / "state")
    faults = Faults(store)
    return Context(store, SETTINGS, faults, Links(b"key"), Blobs(store, faults), "alice")


def add_dataset(context: Context, owner: str, slug: str, *statuses: str) -> None:
    columns = "owner, slug, title, subtitle, description, license, private, keywords, created"
    statement = f"INSERT INTO datasets ({columns}) VALUES (?, ?, 't', '', '', '', 1, '[]', 0)"
    dataset = context.store.write(statement, owner, slug)
    columns = "dataset, number, notes, files, delete_old, status, created"
    for number, status in enumerate(statuses, start=1):
        statement = f"INSERT INTO dataset_versions ({columns}) VALUES (?, ?, '', '[]', 0, ?, 0)"
        context.store.write(statement, dataset, number, status)


def add_output(context: Context, owner: str, slug: str, *statuses: str) -> None:
    statement = "INSERT INTO kernels (owner, slug, title, language, type, created) VALUES (?, ?, 't', 'python', 's', 0)"
    kernel = context.store.write(statement, owner, slug)
    for number, status in enumerate(statuses, start=1):
        statement = "INSERT INTO sessions (kernel, number, request, status, created) VALUES (?, ?, '{}', ?, 0)"
        context.store.write(statement, kernel, number, status)


def mounted(context: Context, hidden: str = "", **sources: list[str]) -> dict[str, str]:
    """What is mounted, as path in the session → path in the state folder or the competition's."""
    mounts = Mounts(context).of({f"{kind}DataSources": names for kind, names in sources.items()}, hidden)
    return {mount.path.removeprefix("/kaggle/input/"): "/".join(mount.host.parts[-2:]) for mount in mounts}


def test_both_layouts(context: Context, breast: Path) -> None:
    add_dataset(context, "alice", "rsna-code", "READY", "READY", "BLOBS_RECEIVED")
    add_output(context, "alice", "library", "COMPLETE", "ERROR")
    add_competition(context.store, "rsna-breast", breast, "breast")
    sources = {"dataset": ["alice/rsna-code"], "kernel": ["alice/library"], "competition": ["rsna-breast"]}
    names = ["sample_submission.csv", "test.csv", "train.csv", "train_images"]
    code, library = {"rsna-code": "1/2"}, {"library": "1/working"}
    assert mounted(context, **sources) == {
        **{f"datasets/alice/{slug}": place for slug, place in code.items()},
        **{f"notebooks/alice/{slug}": place for slug, place in library.items()},
        **{f"competitions/rsna-breast/{name}": f"breast/{name}" for name in names},
    }
    context.faults.switch_on("old-layout")
    old = {f"rsna-breast/{name}": f"breast/{name}" for name in names}
    assert mounted(context, **sources) == {**code, **library, **old}
    rerun = mounted(context, "rsna-breast", competition=["rsna-breast"])
    assert rerun == {**old, "rsna-breast/test.csv": "hidden/test.csv"} | {
        "rsna-breast/sample_submission.csv": "hidden/sample_submission.csv"
    }


def test_two_sources_of_one_name_in_the_old_layout(context: Context) -> None:
    """The first one wins; nothing is mixed."""
    for owner in ("alice", "bob"):
        add_dataset(context, owner, "same-name", "READY")
    context.faults.switch_on("old-layout")
    assert mounted(context, dataset=["alice/same-name", "bob/same-name"]) == {"same-name": "1/1"}


def test_what_is_not_there_is_not_mounted(context: Context) -> None:
    add_dataset(context, "alice", "in-process", "BLOBS_RECEIVED")
    add_output(context, "alice", "unfinished", "RUNNING", "ERROR")
    sources = {"dataset": ["alice/in-process", "alice/gone"], "kernel": ["alice/unfinished"], "competition": ["none"]}
    assert mounted(context, **sources) == {}


def test_trees_hold_plain_files_only(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("a")
    (tmp_path / "link").symlink_to("/etc")
    (tmp_path / "sub" / "link.txt").symlink_to("/etc/hostname")
    assert [file.name for file in list_files(tmp_path)] == ["sub/a.txt"]
    (tmp_path / "sub").chmod(0o000)
    remove_links(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "sub"]
    remove_tree(tmp_path)
    assert not tmp_path.exists()


def test_a_state_folder_of_an_earlier_version_goes_on(tmp_path: Path, breast: Path) -> None:
    with sqlite3.connect(tmp_path / "kaggle.db") as database:
        database.execute("CREATE TABLE competitions (name TEXT PRIMARY KEY, folder TEXT NOT NULL, competition TEXT)")
        database.execute("INSERT INTO competitions VALUES ('older', ?, 'breast')", [str(breast)])
    store = Store(tmp_path)
    add_competition(store, "newer", breast, "breast", "file")
    kinds = {row["name"]: takes_code(row) for row in Store(tmp_path).rows("SELECT * FROM competitions")}
    assert kinds == {"older": True, "newer": False}
