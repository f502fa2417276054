"""The offline wheels as the data set `<user>/rsna-wheels`."""

from __future__ import annotations

from pathlib import Path

from rsna.errors import InputError
from rsna.kaggle.settings import Settings
from rsna.kaggle.uploads import Upload, upload_files
from rsna.kernel.wheels import LOCK_FILE, read_lock, stored_file, verify_wheels


def push_wheels(settings: Settings, folder: Path) -> Upload:
    """Push the wheels that a folder's lock names, and see that they arrive whole, none of them unpacked.

    Raises:
        InputError: For a folder that is no set of wheels, or not whole.
        RsnaError: Where Kaggle refuses, or has other files afterwards.
    """
    try:
        wheels, problems = read_lock(folder), verify_wheels(folder)
    except RuntimeError as error:
        raise InputError(f"{error}; make the wheels with `rsna wheels build`") from error
    if problems:
        raise InputError(f"{folder} is not whole: {'; '.join(problems)}; build it again with `rsna wheels build`")
    found = [stored_file(folder, wheel) for wheel in wheels]
    files = {path.name: path for path in (folder / LOCK_FILE, *found) if path}
    return upload_files(settings.dataset("wheels"), files, LOCK_FILE, f"{len(wheels)} wheels")
