"""The logbook's law: nothing that a person wrote changes by a byte."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsna.errors import InputError
from rsna.tracking.logbook import END, HEADER, Entry, insert, log_entry

DAY, LATER = date(2026, 11, 20), date(2026, 12, 24)
ENTRY = Entry("run/baseline", "run baseline", ("- resnet18", "- AUC 0.81"))
BETTER = Entry("run/baseline", "run baseline", ("- resnet18", "- AUC 0.83"))
OTHER = Entry("run/larger", "run larger", ("- AUC 0.85",))

PIECES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(
        [
            "\n",
            "\r\n",
            "\n\n",
            "## 2026-11-01 by hand\n",
            "# Log\n",
            HEADER,
            END,
            f"{END}\n",
            "<!-- rsna ",
            "```\n## x\n",
        ]
    ),
    st.just("<!-- rsna run/baseline 2026-11-20 000000000000 -->\nforged\n"),
    st.just(insert("", ENTRY, "", DAY)),
    st.just(insert("", OTHER, "why", DAY)),
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)


BLOCKS = [insert("", entry, "", DAY).rstrip("\n") for entry in (ENTRY, BETTER, OTHER)]


def by_hand(text: str) -> str:
    """A logbook without the entries that are as `rsna log` wrote them."""
    for block in BLOCKS:
        lines = re.escape(block).replace("\\\n", "\r?\n")
        text = re.sub(rf"^{lines}(\r?\n)?", "", text, flags=re.MULTILINE)
    return text


def addition(old: str, new: str) -> str | None:
    """The one piece that must be taken out of `new` to get `old`; None where that takes more."""
    length = len(new) - len(old)
    pieces = (new[i : i + length] for i in range(len(old) + 1) if new[:i] + new[i + length :] == old)
    return next(pieces, None)


@given(text=TEXTS, message=st.sampled_from(["", "larger crops", "two\n\nparagraphs", END]))
def test_what_people_wrote_survives(text: str, message: str) -> None:
    new = insert(text, BETTER, message, DAY)
    added = addition(by_hand(text), by_hand(new))
    assert added is not None
    assert added.replace("\r\n", "\n").strip() in (message, "")
    assert "- AUC 0.83" in new
    assert message in new.replace("\r\n", "\n")


@given(text=TEXTS, message=st.sampled_from(["", "larger crops", "two\n\nparagraphs"]))
def test_logging_again_changes_nothing(text: str, message: str) -> None:
    once = insert(text, ENTRY, message, DAY)
    assert insert(once, ENTRY, message, LATER) == once
    assert insert(once, ENTRY, "", LATER) == once


@given(before=TEXTS, after=TEXTS)
def test_an_update_is_made_in_place(before: str, after: str) -> None:
    block, better = insert("", ENTRY, "", DAY), insert("", BETTER, "", DAY)
    before = before.replace("run/baseline", "run/else").replace("\r", "")
    after = after.replace("run/baseline", "run/else").replace("\r", "")
    if before and not before.endswith("\n"):
        before += "\n"
    assert insert(before + block + after, BETTER, "", LATER) == before + better + after


def test_newest_first_and_below_the_header(tmp_path: Path) -> None:
    log = tmp_path / "LOG.md"
    log_entry(log, ENTRY, "first try", DAY)
    log_entry(log, OTHER, "", LATER)
    text = log.read_text()
    assert text.startswith(HEADER)
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert titles == ["## 2026-12-24: run larger", "## 2026-11-20: run baseline"]
    assert text.index("- AUC 0.81") < text.index("first try")


def test_a_new_entry_goes_above_what_a_person_wrote_last(tmp_path: Path) -> None:
    log = tmp_path / "LOG.md"
    log.write_text("My notes\n\n## 2026-11-21 An idea\n\nPooling?\n")
    log_entry(log, ENTRY, today=DAY)
    assert re.findall(r"^## (.*)$", log.read_text(), re.MULTILINE) == ["2026-11-20: run baseline", "2026-11-21 An idea"]


def test_an_entry_edited_by_hand_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "LOG.md"
    log_entry(log, ENTRY, today=DAY)
    edited = log.read_text().replace("- AUC 0.81", "- AUC 0.81, but look at fold 2")
    log.write_text(edited)
    assert log_entry(log, BETTER, today=LATER)
    text = log.read_text()
    assert "- AUC 0.81, but look at fold 2" in text
    assert "- AUC 0.83" in text
    assert not log_entry(log, BETTER, today=LATER)


def test_line_ends_of_the_file_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "LOG.md"
    log.write_bytes(b"# Log\r\n\r\n## Old\r\n")
    log_entry(log, ENTRY, "why", DAY)
    content = log.read_bytes()
    assert content.count(b"\n") == content.count(b"\r\n")
    assert not log_entry(log, ENTRY, "why", LATER)
    assert log_entry(log, BETTER, "why", LATER)
    assert log.read_bytes() == content.replace(b"0.81", b"0.83").replace(
        digest_of(content), digest_of(log.read_bytes())
    )


def digest_of(content: bytes) -> bytes:
    match = re.search(rb"2026-11-20 ([0-9a-f]{12})", content)
    assert match
    return match[1]


def test_an_entry_cannot_end_itself() -> None:
    strange = Entry("submission/1", "submission", (f"- file {END}.csv",))
    text = insert("", strange, "", DAY)
    assert text.count(END) == 1
    assert insert(text, strange, "", LATER) == text


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, log = tmp_path / "notes.md", tmp_path / "LOG.md"
    target.write_text("notes\n")
    log.symlink_to(target)
    log_entry(log, ENTRY, today=DAY)
    assert log.is_symlink()
    assert "run baseline" in target.read_text()


@pytest.mark.parametrize(("content", "message"), [(b"\xff\xfe\x00", "not UTF-8"), (None, "cannot read the logbook")])
def test_an_unreadable_logbook_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    log = tmp_path / "LOG.md"
    if content is None:
        log.mkdir()
    else:
        log.write_bytes(content)
    with pytest.raises(InputError, match=message):
        log_entry(log, ENTRY, today=DAY)
