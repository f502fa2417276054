"""The lab notebook `LOG.md`: dated entries, newest first, between what people write themselves.

An entry stands between two HTML comments, which a rendered page hides. The first one names what the entry is about and
carries a checksum of the text between them, so that an entry that somebody edited is recognised and never overwritten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path

from rsna.errors import InputError
from rsna.io import write_bytes

HEADER = """\
# Log

What we tried, with which code, and what came of it. Newest first.

`rsna log` keeps the part of an entry between its two comment lines up to date. Everything else is ours: write before,
between and after entries as you like. An entry that is edited by hand stays as it is, and the next one goes above it.
"""
BEGIN = re.compile(
    r"^<!-- rsna (?P<key>\S+) (?P<day>\d{4}-\d{2}-\d{2}) (?P<digest>[0-9a-f]{12}) -->\r?\n", re.MULTILINE
)
END = "<!-- rsna end -->"
FIRST_ENTRY = re.compile(r"^(## |<!-- rsna )", re.MULTILINE)  # also one that a person wrote


@dataclass(frozen=True)
class Entry:
    """What `rsna log` writes about one thing.

    Attributes:
        key: What it is about, such as `run/baseline`; one entry per key.
        title: The heading after the date.
        lines: Markdown below the heading.
    """

    key: str
    title: str
    lines: tuple[str, ...]


def log_entry(path: Path, entry: Entry, message: str = "", today: date | None = None) -> bool:
    """Write an entry to the logbook, above the others, or update the one of the same key where it stands.

    Args:
        path: The logbook; made with a header where it does not exist.
        entry: The entry.
        message: What a person has to say. It goes below the entry, once, and is never changed again.
        today: The date of a new entry.

    Returns:
        Whether the file changed.

    Raises:
        InputError: The logbook is not UTF-8, or cannot be read or written.
    """
    old = _read(path)
    new = insert(old or HEADER, entry, "\n".join(message.strip().splitlines()), today or date.today())
    if new == old:
        return False
    write_bytes(path.resolve(), new.encode("utf-8"))  # resolved, so that a link stays a link
    return True


def insert(text: str, entry: Entry, message: str, today: date) -> str:
    """The logbook's text with the entry. Nothing outside the entry's own block changes by a byte."""
    found = _find(text, entry.key)
    if found:
        start, end, day = found
        following = BEGIN.search(text, end)
        notes = text[end : following.start() if following else None].replace("\r\n", "\n")
        new = _block(entry, day) + ("" if _below(message) in notes else _below(message))
        crlf = "\r\n" in text[start:end]
    else:
        first = FIRST_ENTRY.search(text)
        start = end = first.start() if first else len(text)
        new = _gap(text[:start]) + _block(entry, today) + _below(message) + ("\n" if first else "")
        crlf = "\r\n" in text
    return text[:start] + (new.replace("\n", "\r\n") if crlf else new) + text[end:]


def _find(text: str, key: str) -> tuple[int, int, date] | None:
    """Start, end and date of the first block of a key that nobody edited."""
    for begin in BEGIN.finditer(text):
        end = text.find(END, begin.end())
        if begin["key"] == key and end >= 0 and _digest(text[begin.end() : end]) == begin["digest"]:
            end += len(END)
            newline = re.compile(r"\r?\n").match(text, end)
            return begin.start(), newline.end() if newline else end, date.fromisoformat(begin["day"])
    return None


def _block(entry: Entry, day: date) -> str:
    """The entry between its comments. A comment inside it, from a strange file name, would end it early."""
    lines = (f"## {day.isoformat()}: {entry.title}", "", *entry.lines, "")
    body = "\n".join(lines).replace("<!--", "&lt;!--")
    return f"<!-- rsna {entry.key} {day.isoformat()} {_digest(body)} -->\n{body}{END}\n"


def _gap(head: str) -> str:
    """What makes the text above a new entry end in an empty line."""
    ends = head.replace("\r\n", "\n")
    return "" if not ends or ends.endswith("\n\n") else "\n" if ends.endswith("\n") else "\n\n"


def _below(message: str) -> str:
    return f"\n{message}\n" if message else ""


def _digest(body: str) -> str:
    return sha256(body.replace("\r\n", "\n").encode("utf-8")).hexdigest()[:12]  # an editor may change line ends


def _read(path: Path) -> str:
    """The logbook with its line ends as they are, empty where there is none."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise InputError(f"cannot read the logbook {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the logbook {path} is not UTF-8 text; save it as UTF-8") from error
