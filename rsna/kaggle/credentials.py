"""The key of the bucket as a private data set: the one thing secret that is ever pushed, and by this command only."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from rsna.errors import InputError, RsnaError
from rsna.io import read_json, write_json
from rsna.kaggle.datasets import dataset_state, file_sizes, is_private, push_dataset
from rsna.kaggle.kernels import kernel_state
from rsna.kaggle.metadata import render_metadata
from rsna.kaggle.settings import Settings
from rsna.tracking.credentials import CREDENTIALS_FILE

KEY_FIELDS = {"client_email", "private_key", "token_uri"}
READER = "train"  # the one kernel that is given it


def push_credentials(settings: Settings, root: Path, path: Path) -> tuple[str, int]:
    """Push a service-account key as the private data set `<user>/rsna-credentials`; returns `owner/slug` and version.

    Args:
        settings: Whose data set.
        root: The project's root.
        path: The key, as the Cloud console makes it.

    Raises:
        InputError: For a file that is no such key, and where others could see the data set or the kernel that gets it.
        RsnaError: Where Kaggle refuses.
    """
    key = read_json(path)
    if not isinstance(key, dict) or key.get("type") != "service_account" or not set(key) >= KEY_FIELDS:
        raise InputError(f"{path} is no service-account key; make one in the Cloud console, for this bucket only")
    check_unseen(render_metadata(root, READER, settings))
    ref = settings.dataset("credentials")
    if dataset_state(ref) and not is_private(ref):
        raise InputError(f"{ref} is public: delete it on Kaggle, then push the credentials again")
    with tempfile.TemporaryDirectory(prefix="rsna-credentials-") as name:
        folder = Path(name)
        write_json(folder / CREDENTIALS_FILE, key)
        version = push_dataset(ref, settings.credentials, folder, "credentials", file_sizes(folder))
    if not is_private(ref):
        raise RsnaError(f"{ref} became public: delete it on Kaggle, and the key in the Cloud console, at once")
    return ref, version


def check_unseen(metadata: dict[str, Any]) -> None:
    """Raise `InputError` where somebody else could see a kernel, and with it what its notebook was given."""
    ref = str(metadata["id"])
    state = kernel_state(ref)
    if metadata.get("is_private") is not True or (state and not state.private):
        raise InputError(f"the kernel {ref} is public and must not be given credentials; make it private first")
