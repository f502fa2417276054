"""The time that there is, how fast it goes, and when it would be through."""

from __future__ import annotations

import logging
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from rsna.errors import InputError
from rsna.inference.options import PredictOptions, on_kaggle

logger = logging.getLogger(__name__)

KAGGLE_LIMIT = 8.5 * 3600  # seconds, of the 9 hours that a scoring rerun may take
RESERVE = 0.02  # of the limit is kept for filling in and writing
LEAST_RESERVE, MOST_RESERVE = 1.0, 120.0  # seconds of that; never more than half of the limit
LOG_SECONDS = 120.0
MIN_BATCHES, MIN_SHARE = 3, 0.01  # what is measured before a forecast counts: batches, and a share of the limit
DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


@dataclass(frozen=True)
class Limits:
    """A span of time, on the clock `time.monotonic`, which all processes of a machine share.

    Attributes:
        started: When it began.
        seconds: How long it is; None without an end.
    """

    started: float
    seconds: float | None

    @property
    def stop(self) -> float:
        """When predicting ends; what is left until the limit is for filling in and writing."""
        if self.seconds is None:
            return float("inf")
        kept = min(max(RESERVE * self.seconds, LEAST_RESERVE), MOST_RESERVE, self.seconds / 2)
        return self.started + self.seconds - kept

    @property
    def over(self) -> bool:
        """Whether predicting must end now."""
        return time.monotonic() >= self.stop


def make_limits(options: PredictOptions) -> Limits:
    """The time of a prediction: on Kaggle from the start of the kernel, elsewhere from now."""
    seconds = options.time_limit
    if seconds is not None and not seconds > 0:
        raise InputError(f"the time limit must be more than 0 s, got {seconds:g}")
    if not on_kaggle():
        return Limits(time.monotonic(), seconds)
    return Limits(time.monotonic() - process_age(), KAGGLE_LIMIT if seconds is None else seconds)


def process_age() -> float:
    """Seconds since this process started; in a notebook that is the kernel. 0 where there is no `/proc`."""
    try:
        ticks = float(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0
    return max(0.0, uptime - ticks / os.sysconf("SC_CLK_TCK"))


def parse_duration(text: str) -> float:
    """Seconds of `8h30m`, `90m`, `45s` or `3600`.

    Raises:
        InputError: For anything else.
    """
    match = DURATION.fullmatch(text.strip().lower())
    if not match or not any(match.groups()):
        raise InputError(f"{text!r} is no duration; write seconds, or something like 8h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds


def describe(seconds: float) -> str:
    """A duration in words of at most two units."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{seconds:.1f} s"


class Watch:
    """The throughput under one setting, and the end that follows from it.

    Args:
        limits: The time there is.
        left: Images that are still to be predicted.
    """

    def __init__(self, limits: Limits, left: int) -> None:
        self.left = left
        self._limits = limits
        self._images = self._batches = 0
        self._first = self._said = time.monotonic()

    def add(self, images: int) -> None:
        """Count a batch that is done. The first one only starts the clock: what comes before it is starting up."""
        now = time.monotonic()
        self.left -= images
        if self._batches:
            self._images += images
        else:
            self._first = now
        self._batches += 1
        if now - self._said >= LOG_SECONDS and self._images:
            self._said = now
            logger.info("%s", self.text)

    @property
    def needed(self) -> float:
        """Seconds that the rest will take, as far as can be told."""
        return self.left * (time.monotonic() - self._first) / self._images if self._images else 0.0

    @property
    def late(self) -> bool:
        """Whether the rest will not be through in time, and enough was measured to say so."""
        seconds, now = self._limits.seconds, time.monotonic()
        if seconds is None or self._batches <= MIN_BATCHES or now - self._first < MIN_SHARE * seconds:
            return False
        return now + self.needed > self._limits.stop

    @property
    def text(self) -> str:
        """Where it stands, in a line."""
        elapsed = time.monotonic() - self._limits.started
        end = f"through after {describe(elapsed + self.needed)}"
        limit = f" of {describe(self._limits.seconds)}" if self._limits.seconds is not None else ""
        rate = self._images / max(time.monotonic() - self._first, 1e-9)
        return f"{self.left:,} images to go at {rate:.3g} a second: {end}{limit}"
