"""The numbers by which the local Kaggle behaves; a state folder may override them in `settings.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsna.config import load
from rsna.io import read_json

GIB = 2**30
HOUR = 3600.0


@dataclass(frozen=True)
class Settings:
    """Delays and limits. Kaggle's own where they are known, else what a laptop bears.

    Attributes:
        processing_seconds: From the creation of a data set version until it is ready.
        parallel_sessions: How many notebooks run at once; the others are queued.
        cpu_sessions: How many sessions without an accelerator may be queued or running before a push is refused.
        gpu_sessions: The same for sessions with one.
        session_seconds: The longest run of a pushed notebook.
        rerun_seconds: The longest rerun of a submitted notebook on the hidden data.
        memory_bytes: Memory of a session.
        working_bytes: What a session may leave in `/kaggle/working`.
        gpu_hours: The weekly quota.
        submissions_per_day: Per competition and UTC day.
        unpacked_bytes: The most that one uploaded file may become when it is unpacked.
        unpacked_files: The most files that one data set version may hold.
    """

    processing_seconds: float = 3.0
    parallel_sessions: int = 1
    cpu_sessions: int = 5
    gpu_sessions: int = 2
    session_seconds: float = 12 * HOUR
    rerun_seconds: float = 9 * HOUR
    memory_bytes: int = 30 * GIB
    working_bytes: int = 20 * GIB
    gpu_hours: float = 30.0
    submissions_per_day: int = 5
    unpacked_bytes: int = 20 * GIB
    unpacked_files: int = 200_000


def load_settings(state: Path) -> Settings:
    """The settings of a state folder. Raises `InputError` for an unknown key or a wrong type."""
    path = state / "settings.json"
    return load(Settings, read_json(path), str(path)) if path.exists() else Settings()
