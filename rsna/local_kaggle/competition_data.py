"""The files of a competition's folder: what everybody sees, and what a scoring rerun sees in its place."""

from __future__ import annotations

from pathlib import Path

from rsna.errors import InputError
from rsna.local_kaggle.files import File, list_files

HIDDEN = "hidden"  # the folder of what only a rerun sees
SOLUTION = "solution.csv"  # what nobody sees
NEEDED = ("sample_submission.csv", "test.csv")


def check_folder(folder: Path) -> None:
    """Check that a folder can be a competition; `InputError` says what it lacks."""
    for name in (*NEEDED, *(f"{HIDDEN}/{needed}" for needed in (*NEEDED, SOLUTION))):
        if not (folder / name).is_file():
            raise InputError(f"{folder} has no {name}; a folder that `rsna synth` has made has it")


def entries(folder: Path, hidden: bool = False) -> dict[str, Path]:
    """The top level of a competition's data: name → where it lies.

    Args:
        folder: Of the competition.
        hidden: Let what is in `hidden/` take the place of what has the same name, as a scoring rerun sees it.
    """
    found = {path.name: path for path in sorted(folder.iterdir()) if path.name not in (HIDDEN, SOLUTION)}
    if hidden:
        found |= {path.name: path for path in sorted((folder / HIDDEN).iterdir()) if path.name != SOLUTION}
    return dict(sorted(found.items()))


def visible_files(folder: Path) -> list[File]:
    """Every file that can be downloaded."""
    files: list[File] = []
    for name, path in entries(folder).items():
        if path.is_dir():
            files += list_files(path, prefix=f"{name}/")
        else:
            status = path.stat()
            files.append(File(name, path, status.st_size, status.st_mtime))
    return files
