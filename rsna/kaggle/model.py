"""The model bundle as the data set `<user>/rsna-model`: verified before it goes, after it went, and when it comes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rsna.config import load
from rsna.errors import InputError, RsnaError
from rsna.inference.schema import SPEC_FILE, BundleSpec
from rsna.io import ensure_dir
from rsna.kaggle.datasets import dataset_state, download_dataset, read_remote_file
from rsna.kaggle.settings import Settings
from rsna.kaggle.uploads import Upload, upload_files
from rsna.kernel.bootstrap import find_mounts

if TYPE_CHECKING:
    from rsna.inference import Bundle


def push_model(settings: Settings, folder: Path) -> Upload:
    """Verify a bundle and push it, unless it is there already.

    Only the files that belong to it go; afterwards the data set is ready, has each with its size, and its `bundle.json`
    is this one.

    Raises:
        InputError: For what is no sound bundle.
        RsnaError: Where Kaggle refuses, or has something else afterwards.
    """
    from rsna.inference import Bundle  # with torch, which nobody waits for who only asks for a digest

    bundle = Bundle.open(folder)
    files = {name: bundle.folder / name for name in (SPEC_FILE, *bundle.spec.files())}
    notes = f"{folder.resolve().name}, digest {bundle.spec.digest[:12]}"
    return upload_files(settings.dataset("model"), files, SPEC_FILE, notes)


def remote_digest(settings: Settings) -> str:
    """The digest of the bundle that is on Kaggle now; empty where there is none that this program can read."""
    content = read_remote_file(settings.dataset("model"), SPEC_FILE)
    try:
        return load(BundleSpec, json.loads(content), SPEC_FILE).digest if content else ""
    except (InputError, ValueError):
        return ""


def pull_model(settings: Settings, out: Path) -> Bundle:
    """Download the bundle that is on Kaggle, verify it, and give it its name only then.

    Args:
        settings: Whose data set.
        out: The folder that it becomes. One that holds the same bundle already is left as it is.

    Raises:
        InputError: Where `out` is taken by something else, or what comes is no sound bundle.
        RsnaError: Where there is no such data set, or Kaggle refuses.
    """
    from rsna.inference import Bundle

    ref = settings.dataset("model")
    if dataset_state(ref) is None:
        raise RsnaError(f"there is no data set {ref}; push a bundle with `rsna kaggle push-model`")
    parent = ensure_dir(out.absolute().parent)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=parent) as temporary:
        download_dataset(ref, ensure_dir(Path(temporary) / "bundle"))
        found = find_mounts(SPEC_FILE, Path(temporary))
        if not found:
            raise InputError(f"{ref} holds no {SPEC_FILE}: it is not a model bundle")
        digest = Bundle.open(found[0]).spec.digest
        taken = out.exists()
        if not taken:
            found[0].rename(out.absolute())
    try:
        return Bundle.open(out, digest)
    except InputError as error:
        if not taken:
            raise
        raise InputError(f"{out} already holds something else ({error}); choose another --out") from error
