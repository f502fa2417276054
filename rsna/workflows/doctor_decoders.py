"""Which decoder can read which kind of file on this machine: each is tried in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from rsna.imaging.decoders import CHAINS, DECODERS
from rsna.workflows.doctor import Finding
from rsna.workflows.doctor_samples import SAMPLES, Sample

PACKAGES = (
    *("imagecodecs", "Pillow", "pydicom", "python-gdcm", "dicomsdl", "numba"),
    *("pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "pylibjpeg-libjpeg"),
)
OPTIONAL = ("pylibjpeg-libjpeg",)  # GPL-3: never installed unless asked for
SECONDS = 120.0
WORKERS = 2
INSTALL = "pip install -e ."


def look_at_decoders() -> Iterator[Finding]:
    """The versions of the decoders, and for each kind of file who reads it, in the order in which they are asked."""
    found = {name: _version(name) for name in PACKAGES}
    absent = [name for name, number in found.items() if not number and name not in OPTIONAL]
    there = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    lack = f"not installed: {', '.join(absent)}; `{INSTALL}` brings them" if absent else ""
    yield Finding("decoders", "versions", there or "none", lack)
    with tempfile.TemporaryDirectory(prefix="rsna-doctor-") as folder:
        made = _ask("make", folder)
        with ThreadPoolExecutor(WORKERS) as pool:
            answers = dict(zip(DECODERS, pool.map(partial(_try, folder=folder), DECODERS), strict=True))
    for sample in SAMPLES:
        yield _judge(sample, made.get(sample.name, "no file could be made"), answers)


def _judge(sample: Sample, unmade: str, answers: dict[str, dict[str, str]]) -> Finding:
    if unmade:
        remedy = f"it cannot be tried: {unmade}; imagecodecs makes the files (`{INSTALL}`)"
        return Finding("decoders", sample.name, "not tried", remedy, sample.essential)
    chain = CHAINS[sample.codec]
    reasons = {name: answers[name].get(sample.name, "it gave no answer") for name in chain}
    good = [name for name, reason in reasons.items() if not reason]
    bad = "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if reason)
    text = f"{', '.join(good) or 'nobody'}{f' (not {bad})' if bad else ''}"
    remedy = "" if good else f"no decoder reads it; `{INSTALL}` brings several"
    return Finding("decoders", sample.name, text, remedy, sample.essential)


def _try(decoder: str, folder: str) -> dict[str, str]:
    return _ask("try", decoder, folder)


def _ask(*arguments: str) -> dict[str, str]:
    """What `doctor_samples` says: why it failed, by sample, '' where it did not. It may crash, hang, or say nothing."""
    command = [sys.executable, "-P", "-m", "rsna.workflows.doctor_samples", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        output, end = done.stdout, _ending(done)
    except subprocess.TimeoutExpired as error:
        output, end = str(error.stdout or ""), f"it did not end in {SECONDS:.0f} s"
    answers = dict(json.loads(line) for line in output.splitlines() if line.startswith("["))
    if end:
        answers |= {sample.name: end for sample in SAMPLES if sample.name not in answers}
    return answers


def _ending(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"crashed ({signal.Signals(-done.returncode).name})"
    return (done.stderr.strip().splitlines() or ["it failed"])[-1] if done.returncode else ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
