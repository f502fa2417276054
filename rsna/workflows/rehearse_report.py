"""What a rehearsed submission has shown, said before a slot is spent: offline, wheels, memory, disk, time."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsna.config import load
from rsna.inference.predict import REPORT_FILE
from rsna.inference.speed import HIDDEN_PATIENTS, LIMIT_H
from rsna.io import read_json
from rsna.kernel.requirements import unmet
from rsna.kernel.wheels import read_lock
from rsna.local_kaggle.execution import SessionResult
from rsna.local_kaggle.image import open_image
from rsna.local_kaggle.profile import load_profile
from rsna.local_kaggle.settings import load_settings
from rsna.local_kaggle.store import Store
from rsna.workflows.doctor_machine import cores, processor

KAGGLE_CORES = 4
VCPU_FACTOR = 1.5  # a guess on the safe side: half a core at 2 GHz against a core of a laptop
SAMPLED = 20  # images whose size is looked up
REAL_MEGAPIXELS = "5 to 24"  # of the competition's mammograms
MISSING = re.compile(r"No module named '([\w.]+)'")
MIB, GIB = 2**20, 2**30


@dataclass(frozen=True)
class Session:
    """One run of the submit kernel.

    Attributes:
        result: How it ended.
        working: What it left.
        submission: The submission whose scoring rerun it is; None for the visible run.
    """

    result: SessionResult
    working: Path
    submission: int | None

    @property
    def report(self) -> dict[str, Any]:
        """What `predict` reported; empty where it did not come so far."""
        path = self.working / REPORT_FILE
        return dict(read_json(path)) if path.is_file() else {}


@dataclass(frozen=True)
class Forecast:
    """When the hidden test would be through.

    Attributes:
        images: Of a run that was measured.
        patients: Of that run.
        predicting: Its seconds, without what comes before the first image.
        starting: The seconds before: the container, installing, importing, loading.
        cores: Of this machine.
        factor: How much longer one of Kaggle's processors takes than a core here.
    """

    images: int
    patients: int
    predicting: float
    starting: float
    cores: int
    factor: float

    @property
    def per_image(self) -> float:
        """Seconds, here."""
        return self.predicting / self.images

    @property
    def hidden_images(self) -> float:
        """How many the hidden test has, at as many a patient as here."""
        return HIDDEN_PATIENTS * self.images / self.patients

    @property
    def hours(self) -> float:
        """That the hidden test would take on Kaggle."""
        on_kaggle = self.factor * self.cores / KAGGLE_CORES
        return (self.starting + self.hidden_images * self.per_image) * on_kaggle / 3600


def submit_sessions(store: Store, owner: str, slug: str) -> list[Session]:
    """The newest visible run of a kernel, and the scoring rerun of the same version if there was one."""
    query = """SELECT sessions.* FROM sessions JOIN kernels ON kernels.id = kernel
               WHERE owner = ? AND slug = ? AND outcome != '' ORDER BY number DESC, sessions.id DESC"""
    rows = store.rows(query, owner, slug)
    rows = [row for row in rows if row["number"] == rows[0]["number"]]
    found: dict[bool, Session] = {}
    for row in rows:
        result = load(SessionResult, json.loads(row["report"]), "the session's report")
        session = Session(result, store.working_folder(row["id"]), row["submission"])
        found.setdefault(row["submission"] is not None, session)
    return [found[key] for key in sorted(found)]


def submit_report(
    store: Store, sessions: list[Session], data: Path, wheels: Path, profile: str, factor: float = VCPU_FACTOR
) -> Iterator[tuple[str, str]]:
    """What is known after a rehearsed submission, line by line: name and text.

    Args:
        store: The local Kaggle's.
        sessions: Of the submit kernel.
        data: The competition's folder.
        wheels: The output of the library kernel.
        profile: The image profile.
        factor: How much longer one of Kaggle's processors takes than a core here.
    """
    settings, last = load_settings(store.folder), sessions[-1]
    yield "offline", _offline(sessions)
    yield "wheels", _wheels(sessions, wheels, profile)
    for session in sessions:
        yield ("scoring rerun" if session.submission else "visible run"), _outcome(store, session)
    yield "peak memory", _peak([s.result.peak_memory for s in sessions], settings.memory_bytes)
    yield "peak disk", _peak([s.result.peak_disk for s in sessions], settings.working_bytes)
    if last.report:
        yield from _speed(last, data, factor)


def _offline(sessions: list[Session]) -> str:
    if failed := [s.result for s in sessions if s.result.outcome != "complete"]:
        return f"NO, it fails: {failed[0].message}"
    if all(s.result.proven_offline for s in sessions):
        return "yes: it ran in a sandbox that has no network, with nothing but the image's packages and its wheels"
    return "NOT PROVEN: there was no sandbox, so network and packages of this machine were there to be used"


def _wheels(sessions: list[Session], folder: Path, profile: str) -> str:
    """Which the image lacks and the notebook brings, and which are missing all the same."""
    image = open_image(load_profile(profile)).packages
    brought = [wheel.name for wheel in read_lock(folder) if unmet(wheel.requirement or wheel.name, image)]
    missing = [name for session in sessions for name in MISSING.findall(session.result.message)]
    proven = all(session.result.sandboxed for session in sessions)
    verdict = "none missing" if proven else "whether some are missing is NOT PROVEN"
    if missing:
        verdict = f"MISSING: {', '.join(missing)}; add it to offline_wheels/requirements.txt"
    return f"{verdict}; {len(brought)} that the image lacks are brought: {', '.join(brought)}"


def _outcome(store: Store, session: Session) -> str:
    result = session.result
    text = f"{result.outcome} in {result.seconds:.0f} s{f': {result.message}' if result.message else ''}"
    row = store.row("SELECT * FROM submissions WHERE id = ?", session.submission)
    if row is None:
        return text
    if row["status"] == "COMPLETE":
        return f"{text}; public score {row['public']:.5f}, private {row['private']:.5f}"
    return f"{text}; {row['status'].lower()} {row['error']} {row['detail']}".rstrip()


def _peak(values: list[int | None], limit: int) -> str:
    measured = [value for value in values if value is not None]
    return f"{max(measured) / MIB:,.0f} MiB of {limit / GIB:.0f} GiB" if measured else "not measured without a sandbox"


def _speed(session: Session, data: Path, factor: float) -> Iterator[tuple[str, str]]:
    report = session.report
    tests = data / "hidden" if session.submission else data
    paths = _images(tests)
    forecast = Forecast(
        images=report["images"],
        patients=len({path.parent.name for path in paths}) or 1,
        predicting=report["seconds"],
        starting=session.result.seconds - report["seconds"],
        cores=cores(),
        factor=factor,
    )
    yield (
        "speed",
        f"{forecast.per_image:.3f} s an image ({forecast.images} images in {forecast.predicting:.0f} s),"
        f" {forecast.starting:.0f} s to start",
    )
    late = "" if forecast.hours < LIMIT_H else ": TOO LATE"
    yield (
        "forecast",
        f"{HIDDEN_PATIENTS:,} patients would be through after {_clock(forecast.hours)} of {LIMIT_H:g} h{late}",
    )
    for line in _assumptions(forecast, paths):
        yield "assuming", line


def _assumptions(forecast: Forecast, paths: list[Path]) -> Iterator[str]:
    yield f"measured on {processor()}, {forecast.cores} cores, without a GPU"
    yield (
        f"Kaggle has {KAGGLE_CORES} virtual CPUs, each {forecast.factor:g} times as slow as a core here"
        " (--vcpu-factor), all of them as busy as here"
    )
    per_patient = forecast.images / forecast.patients
    yield f"{per_patient:.1f} images a patient as here, {forecast.hidden_images:,.0f} in all"
    megapixels, megabytes = _sizes(paths)
    yield (
        f"images as here, {megapixels:.2f} megapixels and {megabytes:.2f} MB a file in the middle; the competition's"
        f" have {REAL_MEGAPIXELS} megapixels"
    )
    yield "the time grows with the number of images, and memory does not"


def _images(tests: Path) -> list[Path]:
    """The test images, in folders of patients."""
    return sorted((tests / "test_images").glob("*/*.dcm"))


def _sizes(paths: list[Path]) -> tuple[float, float]:
    """Megapixels and megabytes of the middle one of some images."""
    import pydicom

    step = max(1, len(paths) // SAMPLED)
    chosen = paths[::step]
    headers = (pydicom.dcmread(path, stop_before_pixels=True) for path in chosen)
    pixels = sorted(int(header.Rows) * int(header.Columns) for header in headers)
    sizes = sorted(path.stat().st_size for path in chosen)
    return pixels[len(pixels) // 2] / 1e6, sizes[len(sizes) // 2] / 1e6


def _clock(hours: float) -> str:
    minutes = round(hours * 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def keep_scored(sessions: list[Session], target: Path) -> bool:
    """Copy the file that was scored out of the local Kaggle, where there is one."""
    scored = sessions[-1].working / target.name
    if sessions[-1].submission is None or not scored.is_file():
        return False
    shutil.copyfile(scored, target)
    return True
