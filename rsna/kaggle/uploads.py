"""A few files as one flat data set: pushed when they differ from what is there, and compared afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rsna.errors import RsnaError
from rsna.kaggle.datasets import dataset_state, file_problems, push_dataset, read_remote_file


@dataclass(frozen=True)
class Upload:
    """What a push came to.

    Attributes:
        ref: `owner/slug` of the data set.
        version: That is current and ready.
        pushed: Whether it had to be made.
    """

    ref: str
    version: int
    pushed: bool


def upload_files(ref: str, files: Mapping[str, Path], marker: str, notes: str) -> Upload:
    """Make a data set, or a new version of it, of some files; none where the same ones are there and ready.

    Args:
        ref: `owner/slug`; the slug is the title, too.
        files: Where they lie, by the plain name that they get.
        marker: The name of the one that holds checksums of all others: if it is the same, they are.
        notes: Of the version.

    Raises:
        RsnaError: Where Kaggle refuses, or has something else afterwards.
    """
    sizes, content = {name: path.stat().st_size for name, path in files.items()}, files[marker].read_bytes()
    if read_remote_file(ref, marker) == content:
        state = dataset_state(ref)
        if state and state.ready and not file_problems(ref, sizes):
            return Upload(ref, state.version, pushed=False)
    with tempfile.TemporaryDirectory(prefix="rsna-upload-") as folder:
        for name, path in files.items():
            (Path(folder) / name).symlink_to(path.resolve())
        version = push_dataset(ref, ref.split("/")[1], Path(folder), notes, sizes)
    if read_remote_file(ref, marker) != content:
        raise RsnaError(f"{ref} version {version} has another {marker} than was pushed; push again")
    return Upload(ref, version, pushed=True)
