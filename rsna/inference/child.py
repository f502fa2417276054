"""The process that predicts, under the eyes of its parent. Run as `python -m rsna.inference.child`.

The order comes as JSON over standard input, which stays open: its end is the end of the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from rsna import faults
from rsna.config import load
from rsna.errors import InputError
from rsna.inference.budget import Limits
from rsna.inference.job import Job, journal_folder, plan_job
from rsna.inference.journal import ERROR_FILE
from rsna.inference.lean import LEVELS
from rsna.inference.options import PredictOptions
from rsna.io import write_json
from rsna.log import setup_logging
from rsna.plain import one_line

PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
BADNESS = Path("/proc/self/oom_score_adj")
MORE_BADNESS = "300"  # of 1000: where memory runs out the kernel takes this process, not its parent


@dataclass(frozen=True)
class Order:
    """What the child is told.

    Attributes:
        bundle: The folder of the bundle.
        digest: Of the bundle.
        data: The competition's folder.
        out: The submission file.
        options: Where and how fast.
        started: Of the time limit, by the clock that all processes share.
        seconds: Of the time limit.
        level: An index into `LEVELS`.
        attempt: How many processes there were before.
        parent: Its process id.
    """

    bundle: str
    digest: str
    data: str
    out: str
    options: PredictOptions
    started: float
    seconds: float | None
    level: int
    attempt: int
    parent: int

    @classmethod
    def of(cls, job: Job, level: int, attempt: int) -> Order:
        """The order to go on with a job."""
        bundle, data, out = (str(path.absolute()) for path in (job.bundle, job.data, job.out))
        limits = (job.limits.started, job.limits.seconds)
        return cls(bundle, job.spec.digest, data, out, job.options, *limits, level, attempt, os.getpid())

    def dump(self) -> bytes:
        """As a line of JSON."""
        return json.dumps(asdict(self)).encode("utf-8") + b"\n"


def main() -> None:
    """Predict what the journal lacks; an error is left beside it for the parent."""
    order = load(Order, json.loads(_read_line()), "the order")
    _die_with_parent(order.parent)
    setup_logging()
    if order.attempt < (faults.value("start-kill") or 0):
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        _predict(order)
    except Exception as error:
        _leave(order, error)
        raise


def _predict(order: Order) -> None:
    from rsna.inference.bundle import Bundle  # torch takes seconds, and may be what fails
    from rsna.inference.run import predict_missing

    bundle = Bundle.open(order.bundle, order.digest)
    limits = Limits(order.started, order.seconds)
    job = plan_job(bundle.folder, bundle.spec, Path(order.data), Path(order.out), None, True, order.options, limits)
    predict_missing(bundle, job, job.journal().attach(), LEVELS[order.level], order.attempt)


def _leave(order: Order, error: Exception) -> None:
    """Write down what ended this process."""
    content = {"input": isinstance(error, InputError), "text": one_line(error)}
    write_json(journal_folder(Path(order.out)) / ERROR_FILE, content)


def _die_with_parent(parent: int) -> None:
    """End when the parent ends, however that happens; and be the first to go where memory runs out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt goes to the whole group; the parent ends this process
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
        with contextlib.suppress(OSError):  # a sandbox may forbid it, and nothing depends on it
            BADNESS.write_text(MORE_BADNESS)
    threading.Thread(target=_wait_for_end, daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _read_line() -> bytes:
    """The first line of standard input, read without a buffer: a thread waits for the rest."""
    line = b""
    while not line.endswith(b"\n") and (part := os.read(0, 1)):
        line += part
    return line


def _wait_for_end() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
