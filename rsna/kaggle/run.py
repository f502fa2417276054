"""`rsna kaggle run`: check everything that can be checked here, push, follow exactly that run, fetch what it wrote."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

from rsna.errors import InputError, RsnaError
from rsna.io import ensure_dir, read_json, write_json
from rsna.kaggle.code import push_code, require_pushed
from rsna.kaggle.datasets import dataset_state
from rsna.kaggle.kernels import complete_runs, follow, kernel_state, kernel_url, push_kernel
from rsna.kaggle.logs import KernelRun
from rsna.kaggle.metadata import KINDS, METADATA_FILE, kernels_dir, lint, render_metadata
from rsna.kaggle.notebook import notebook_path, render_notebook
from rsna.kaggle.outputs import download_outputs
from rsna.kaggle.request import RunRequest
from rsna.kaggle.settings import Settings
from rsna.kaggle.sources import settle_sources

logger = logging.getLogger(__name__)

KERNELS = Path(".rsna/kernels")
RESULTS = {
    "prepare": "prepared/spec.json",
    "train": "train-session.json",
    "library": "lock.json",
    "submit": "submission.csv",
}  # what a run of each kernel writes, whatever it was asked to do
QUEUE_S = 3600.0  # a run may wait for its machine before its time begins


def start_run(settings: Settings, root: Path, request: RunRequest, push: bool = False) -> KernelRun:
    """Push a kernel, which starts a run, after everything that it needs was found in its place.

    Args:
        settings: Whose kernel.
        root: The project's root.
        request: What to do.
        push: Push the committed code first, where Kaggle has other code.

    Raises:
        InputError: For a wrong option or override, code or a bundle on Kaggle that is not the one here, a source that
            is missing, metadata that would do something else.
        RsnaError: Where Kaggle refuses, or drops something.
    """
    request.check()
    code = push_code(settings, root).build if push else require_pushed(settings, root)
    bundle = bundle_digest(settings, request.bundle) if request.kind == "submit" else ""
    metadata = render_metadata(root, request.kind, settings)
    problems = lint(request.kind, metadata, kernels_dir(root) / request.kind)
    if problems:
        raise InputError(f"kaggle_kernels/{request.kind} is not pushed: {'; '.join(problems)}")
    metadata = settle_sources(metadata, settings, request.resume)
    pushed = request.pushed(settings, code["content_hash"], bundle)
    with tempfile.TemporaryDirectory(prefix="rsna-kernel-") as name:
        folder = Path(name)
        write_json(folder / METADATA_FILE, metadata)
        notebook = render_notebook(notebook_path(root, request.kind), pushed)
        write_json(folder / str(metadata["code_file"]), notebook)
        return push_kernel(folder, str(metadata["id"]), request.seconds)


def bundle_digest(settings: Settings, local: Path | None = None) -> str:
    """The digest of the bundle on Kaggle, which must be that of a local one where that is given.

    Raises:
        InputError: Where there is none, or another one.
    """
    ref = settings.dataset("model")
    missing = InputError(f"there is no bundle in {ref}: push one with `rsna kaggle push-model BUNDLE`")
    if dataset_state(ref) is None:
        raise missing
    from rsna.inference.schema import read_spec  # with pandas, which the other kernels do without
    from rsna.kaggle.model import remote_digest

    digest = remote_digest(settings)
    if not digest:
        raise missing
    if local is not None and read_spec(local).digest != digest:
        raise InputError(
            f"the bundle in {ref} has the digest {digest[:12]}, {local} has {read_spec(local).digest[:12]}:"
            f" push it with `rsna kaggle push-model {local}`"
        )
    return digest


def kernel_ref(settings: Settings, name: str) -> tuple[str, str]:
    """`owner/slug` and kind (or '') of a kernel that is named by its kind, its slug, or both owner and slug."""
    kinds = {settings.kernel(kind): kind for kind in KINDS}
    ref = settings.kernel(name) if name in KINDS else name if "/" in name else f"{settings.user}/{name}"
    return ref, kinds.get(ref, "")


def find_run(ref: str, version: int = 0) -> KernelRun:
    """The run of a kernel's version, the newest one unless given; `InputError` where there is no such kernel."""
    state = kernel_state(ref)
    if state is None:
        raise InputError(f"there is no kernel {ref}, or it is not yours; `rsna status` lists this checkout's")
    return KernelRun(ref, version or state.version, kernel_url(ref))


def output_folder(run: KernelRun) -> Path:
    """Where the outputs and the log of a run lie on this machine."""
    return KERNELS / run.slug / run.label


def log_file(run: KernelRun) -> str:
    """The name of the log in there; Kaggle's own client gives it the same."""
    return f"{run.slug}.log"


def finish_run(run: KernelRun, kind: str, write: Callable[[str], object], seconds: float, fetch: bool = True) -> Path:
    """Follow a run to its end, keep its log, fetch what it wrote; returns the folder of both.

    Args:
        run: Whose.
        kind: Of the kernel, or '' for one that is not of this project.
        write: Takes the log as it comes.
        seconds: The run's time limit.
        fetch: Whether to fetch everything, or only what tells how it went.

    Raises:
        RsnaError: Where the run fails, or lacks what its kind writes; what it wrote is fetched all the same.
    """
    folder, result = ensure_dir(output_folder(run)), RESULTS.get(kind, "")
    try:
        with (folder / log_file(run)).open("w", encoding="utf-8") as log:
            follow(run, lambda text: (log.write(text), write(text)), seconds + QUEUE_S)
    except KeyboardInterrupt as error:
        raise RsnaError(
            f"no longer following {run.ref} {run.label}, which goes on: {run.url};"
            f" `rsna kaggle follow {kind or run.ref} --version {run.version}` takes it up again"
        ) from error
    except RsnaError:
        _salvage(run, folder)
        raise
    download_outputs(run, folder, lambda path: fetch or path == result)
    if result and not (folder / result).is_file():
        raise RsnaError(f"{run.ref} {run.label} says complete, but has no {result} in its output; see {run.url}")
    if kind == "train":
        _warn_of_rest(folder / result)
    return folder


def fetch_newest(settings: Settings, kernel: str, version: int, wanted: Callable[[str], bool]) -> Path:
    """Fetch some of what a kernel's run wrote; returns the folder of the run's output.

    Args:
        settings: Whose.
        kernel: Its kind, slug, or owner and slug.
        version: Which run; 0 for the newest that ended well.
        wanted: Chooses files by their path.

    Raises:
        InputError: Where no run ended well.
    """
    ref, _ = kernel_ref(settings, kernel)
    run = find_run(ref, version) if version else next(complete_runs(ref), None)
    if run is None:
        raise InputError(f"the kernel {ref} has no run that ended well; `rsna status` shows its last one")
    download_outputs(run, output_folder(run), wanted)
    return output_folder(run)


def _salvage(run: KernelRun, folder: Path) -> None:
    """Fetch what a failed run has left; there may be nothing, and that is not what went wrong."""
    try:
        download_outputs(run, folder)
    except RsnaError as error:
        logger.warning("the output of %s %s was not fetched: %s", run.ref, run.label, error)


def _warn_of_rest(session: Path) -> None:
    """Say loudly that a training has stopped itself before its end."""
    if read_json(session).get("state") == "incomplete":
        logger.warning("INCOMPLETE: the training stopped before the session's end; `rsna kaggle run train --resume`")
