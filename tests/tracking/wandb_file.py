"""A reader of W&B's offline files, which are protobuf messages in a LevelDB log."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any

BLOCK = 32768  # bytes
WHOLE, LAST = 1, 4  # kinds of fragments that end a message


def find_runs(folder: Path) -> list[Path]:
    """The offline files below a folder, in the order of their writing, once the other process has closed them."""
    paths = list(folder.rglob("*.wandb"))
    end = time.monotonic() + 60
    while not all(_is_closed(path) for path in paths) and time.monotonic() < end:
        time.sleep(0.05)
    return sorted(paths, key=lambda path: path.stat().st_mtime_ns)


def _is_closed(path: Path) -> bool:
    return any(record.WhichOneof("record_type") == "exit" for record in read_records(path))


def read_records(path: Path) -> list[Any]:
    """The messages of an offline file."""
    from wandb.proto import wandb_internal_pb2

    data, position, message, records = path.read_bytes(), 7, b"", []
    while position + 7 <= len(data):
        if BLOCK - position % BLOCK < 7:  # too little for a head: the rest of a block is padding
            position += BLOCK - position % BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", data, position)
        if position + 7 + size > len(data):  # is being written
            break
        message += data[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (WHOLE, LAST):
            records.append(wandb_internal_pb2.Record.FromString(message))
            message = b""
    return records


def metrics(path: Path) -> list[dict[str, float]]:
    """What was logged, in order, without W&B's own keys."""
    rows = [record.history for record in read_records(path) if record.WhichOneof("record_type") == "history"]
    named = [{item.nested_key[0] if item.nested_key else item.key: item.value_json for item in r.item} for r in rows]
    return [{key: json.loads(value) for key, value in row.items() if not key.startswith("_")} for row in named]


def last_run(path: Path) -> Any:
    """The last message about the run itself: id, project, group, tags, and the configuration that it had then."""
    return [record.run for record in read_records(path) if record.WhichOneof("record_type") == "run"][-1]


def artifacts(path: Path) -> dict[str, list[str]]:
    """The names of the files of every artifact, by its type."""
    found = [record.artifact for record in read_records(path) if record.WhichOneof("record_type") == "artifact"]
    return {artifact.type: [entry.path for entry in artifact.manifest.contents] for artifact in found}
