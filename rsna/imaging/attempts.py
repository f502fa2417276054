"""Which decoder is at work: workers tell their parent, so that a file whose decoder crashes goes on to the next one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from rsna import faults

COMPILER = "numba"  # announced like a decoder
COMPILE_SECONDS = 600.0  # once on a machine: about ten, or many times that on a busy one


def seconds_for(decoder: str, time_limit: float) -> float:
    """How long a decoder may take; "" for what lies between two of them."""
    return max(time_limit, COMPILE_SECONDS) if decoder == COMPILER else time_limit


class Attempts:
    """What became of the decoders that were tried on the current file.

    Attributes:
        failed: Decoders that took a worker with them, and how; they are not tried again on this file.
        announce: Called with a decoder's name before it starts and with "" when it has ended.
        file: The name of the current file without its suffix, for faults that are switched on.
    """

    def __init__(self) -> None:
        self.failed: Mapping[str, str] = {}
        self.announce: Callable[[str], None] = lambda _: None
        self.file = ""

    @contextlib.contextmanager
    def of(self, decoder: str) -> Iterator[None]:
        """Announce a decoder while it works; `ValueError` where it crashed on this file before."""
        if decoder in self.failed:
            raise ValueError(self.failed[decoder])
        self.announce(decoder)
        try:
            if decoder != COMPILER and not self.failed:
                faults.strike_decoder(self.file)
            yield
        finally:
            self.announce("")


attempts = Attempts()  # of this process, which decodes one file at a time
