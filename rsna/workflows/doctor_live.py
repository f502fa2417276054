"""`rsna doctor --live`: a small probe on Kaggle records what its image has, and what it makes of awkward files."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from gzip import compress
from pathlib import Path
from typing import Any

from rsna.config import dump
from rsna.errors import RsnaError
from rsna.io import ensure_dir, read_json, write_json
from rsna.kaggle.client import rehearsing
from rsna.kaggle.datasets import push_dataset, remote_files
from rsna.kaggle.kernels import follow, push_kernel
from rsna.kaggle.metadata import METADATA_FILE
from rsna.kaggle.outputs import download_outputs
from rsna.kaggle.settings import SETTINGS_FILE, Settings, write_settings
from rsna.kernel.requirements import normalise
from rsna.local_kaggle.client_env import client_environment
from rsna.local_kaggle.profile import Profile, load_profile
from rsna.workflows import doctor_probe
from rsna.workflows.rehearse import RSNA, STATE, local_kaggle

FILES, KERNEL = "rsna-probe-files", "rsna-probe"  # slugs
PROBE_FILE, PROFILE_FILE = "probe.json", "profile.json"
SECONDS = 600
PATIENCE_S = 3600.0  # a session may be queued
MB = 2**20
SAME_SIZE = 0.25  # sizes of memory and disks that differ by less are the same to us

Say = Callable[[str], object]


def awkward_files() -> dict[str, bytes]:
    """Files of every kind that a platform may take apart, rename or drop, by path."""
    table, text = b"a,b\n1,2\n", b"some text\n"
    inner = _zip({"deep.txt": text})
    return {
        doctor_probe.MARKER: b"{}",
        "zipped.zip": _zip({"one.txt": text, "folder/two.txt": text, "inner.zip": inner}),
        "tarred.tar.gz": _tar({"three.txt": text}),
        "plain.tar": _tar({"four.txt": text}, "w"),
        "table.csv.gz": compress(table),
        "weights.pt": _zip({"weights/data.pkl": text, "weights/version": b"3\n"}),
        "tensors.pth": _zip({"tensors/data.pkl": text}),
        "probe-1.0-py3-none-any.whl": _zip({"probe.py": b"", "probe-1.0.dist-info/METADATA": b"Name: probe\n"}),
        "renamed.zip.tmp": _zip({"five.txt": text}),
        "renamed.tar.gz.tmp": _tar({"six.txt": text}),
        "arrays.npz": _zip({"array.npy": b"\x93NUMPY"}),
        "empty.txt": b"",
        "no_suffix": text,
        ".hidden": text,
        "two words.txt": text,
        "ünïcödé 日本.txt": text,
        "UPPER.TXT": text,
        "folder/inside.txt": text,
        "folder/deeper/table.csv": table,
    }


def probe_kaggle(settings: Settings, out: Path, say: Say) -> dict[str, Any]:
    """Push the files and the kernel, wait for it, and keep what it found with the profile made of it.

    Args:
        settings: Whose account.
        out: Gets `probe.json` and `profile.json`.
        say: Takes what is to be told.

    Returns:
        What the kernel recorded; `listed` are the files as Kaggle lists them.

    Raises:
        RsnaError: Where Kaggle refuses, or the kernel fails.
    """
    files, kernel = f"{settings.user}/{FILES}", f"{settings.user}/{KERNEL}"
    with tempfile.TemporaryDirectory(prefix="rsna-probe-") as name:
        folder = ensure_dir(Path(name) / "files")
        for path, content in awkward_files().items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        try:
            version = push_dataset(files, "RSNA probe files", folder, "probe", {})
            say(f"{files} version {version} is ready")
        except RsnaError as error:  # the image can be looked at all the same
            say(f"without the files: {error}")
            version = 0
        sources = [files] if version else []
        run = push_kernel(_kernel_folder(Path(name) / "kernel", sources, kernel), kernel, SECONDS)
        say(f"{kernel} {run.label}: {run.url}")
        follow(run, lambda text: say(text.rstrip()), PATIENCE_S)
        download_outputs(run, ensure_dir(out), lambda path: path == PROBE_FILE)
    found = read_json(out / PROBE_FILE) | {"listed": remote_files(files) if version else {}}
    write_json(out / PROBE_FILE, found)
    write_json(out / PROFILE_FILE, dump(make_profile(found, f"{kernel} {run.label}")))
    return dict(found)


def _kernel_folder(folder: Path, datasets: list[str], kernel: str) -> Path:
    text = Path(doctor_probe.__file__).read_text(encoding="utf-8")
    (ensure_dir(folder) / "probe.py").write_text(text, encoding="utf-8")
    facts = {"id": kernel, "title": KERNEL, "code_file": "probe.py", "language": "python", "kernel_type": "script"}
    access = {"is_private": True, "enable_gpu": False, "enable_tpu": False, "enable_internet": False}
    sources = {"dataset_sources": datasets, "kernel_sources": [], "competition_sources": [], "model_sources": []}
    write_json(folder / METADATA_FILE, facts | access | sources)
    return folder


def make_profile(found: Mapping[str, Any], origin: str) -> Profile:
    """The image profile of what a probe has recorded.

    What the packages of the image would bring along here, but the image does not have, stays hidden.
    """
    packages = dict(found["packages"])
    there = {normalise(name) for name in packages}
    hidden = tuple(name for name in load_profile().hidden if normalise(name) not in there)
    shared = found["places"].get("/dev/shm", {}).get("total", 0) // MB
    day = datetime.now(UTC).date().isoformat()
    python = ".".join(found["python"].split(".")[:2])
    return Profile("kaggle", f"rsna doctor --live, {origin}, {day}", python, "", packages, hidden, int(shared) or 64)


def differences_from_local(found: Mapping[str, Any], settings: Settings, out: Path, say: Say) -> list[str]:
    """Run the same probe on a local Kaggle with the new profile, and list where the two differ.

    Nothing to compare where the probed Kaggle is the local one itself.
    """
    if rehearsing():
        return []
    local = ensure_dir(out / "local").resolve()
    write_settings(settings, local / SETTINGS_FILE)
    say("the same on the local Kaggle, to compare")
    state, profile = ensure_dir(local / STATE), str((out / PROFILE_FILE).resolve())
    with local_kaggle(state, settings.user, profile, True, say) as connection:
        environment = client_environment(connection, state, os.environ)
        command = (*RSNA, "doctor", "--live", "--out", str(local))
        done = subprocess.run(command, cwd=local, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RsnaError(f"the probe of the local Kaggle failed: {done.stderr.strip().splitlines()[-1:]}")
    return list(differences(found, read_json(local / PROBE_FILE)))


def differences(live: Mapping[str, Any], local: Mapping[str, Any]) -> Iterator[str]:
    """Where a local probe differs from a live one, one line each; nothing about packages, which are the profile's."""
    for name in ("python", "mounted", "folder", "user", "cpus"):
        if live[name] != local[name]:
            yield f"{name}: {live[name]} on Kaggle, {local[name]} here"
    for name in ("listed", "files"):
        yield from _file_differences(name, live[name], local[name])
    if not _close(live["memory"], local["memory"]):
        yield f"memory: {live['memory'] // MB} MB on Kaggle, {local['memory'] // MB} MB here"
    for place in sorted({*live["places"], *local["places"]}):
        yield from _place_differences(place, live["places"].get(place), local["places"].get(place))
    absent = sorted(set(live["environment"]) - set(local["environment"]))
    if absent:
        yield f"environment: Kaggle also sets {', '.join(absent)}"


def _file_differences(name: str, live: Mapping[str, int], local: Mapping[str, int]) -> Iterator[str]:
    for path in sorted({*live, *local}):
        if live.get(path) != local.get(path):
            here, there = (f"{sizes[path]} bytes" if path in sizes else "absent" for sizes in (local, live))
            yield f"{name} {path}: {there} on Kaggle, {here} here"


def _place_differences(place: str, live: Mapping[str, Any] | None, local: Mapping[str, Any] | None) -> Iterator[str]:
    if live is None or local is None:
        yield f"{place}: only {'here' if live is None else 'on Kaggle'}"
        return
    if live["writable"] != local["writable"]:
        yield f"{place}: {'writable' if live['writable'] else 'read-only'} on Kaggle, the opposite here"
    if not _close(live["total"], local["total"]):
        yield f"{place}: {live['total'] // MB} MB on Kaggle, {local['total'] // MB} MB here"


def _close(one: int, other: int) -> bool:
    return abs(one - other) <= SAME_SIZE * max(one, other)


def _zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return buffer.getvalue()


def _tar(files: Mapping[str, bytes], mode: Any = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
