"""The modules that numba compiles: loaded when they are first needed, compiled once for all processes.

numba takes half a second and 60 MB in each process that needs it. It is optional: without it, files decode slower.
"""

from __future__ import annotations

import fcntl
import importlib
import logging
import os
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

from rsna.imaging.attempts import COMPILER, attempts

logger = logging.getLogger(__name__)


def compiled(name: str) -> ModuleType | None:
    """A module of this package that has a `warm_up`, ready to be called; None where numba does not work, said once."""
    return None if COMPILER in attempts.failed else _load(name)


@cache
def _load(name: str) -> ModuleType | None:
    folder = Path(os.environ.setdefault("NUMBA_CACHE_DIR", _cache_folder()))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with attempts.of(COMPILER), (folder / "rsna.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one process compiles, the others wait and read its cache
            module = importlib.import_module(f"rsna.imaging.{name}")
            module.warm_up()
    except (ImportError, RuntimeError, OSError) as error:  # missing, for another numpy, or its cache not writable
        _say_once(f"{type(error).__name__}: {error}")
        return None
    return module


@cache
def _say_once(reason: str) -> None:
    logger.warning("images are decoded slower, since numba does not work here (%s); `pip install numba`", reason)


def _cache_folder() -> str:
    """A private folder of this user: the cache holds code, so nobody else may write there."""
    folder = Path(tempfile.gettempdir()) / f"rsna-numba-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        private = status.st_uid == os.getuid() and status.st_mode & 0o077 == 0 and not folder.is_symlink()
    except OSError:
        private = False
    return str(folder) if private else tempfile.mkdtemp(prefix="rsna-numba-")
