"""The process behind `DecodePool`. Run as `python -m rsna.imaging.worker FD`, with a socket to the parent."""

from __future__ import annotations

import math
import pickle
import resource
import signal
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rsna.errors import ImageError, RsnaError
from rsna.imaging.attempts import attempts, seconds_for
from rsna.imaging.transport import send_notice, send_result

GRACE_SECONDS = 10  # after the time limit, at which the parent kills the worker, unless the parent is dead


def main(descriptor: int) -> None:
    """Serve tasks until the parent closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt goes to the whole group; the parent ends the workers
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with Connection(descriptor) as connection:
        try:
            function, time_limit, memory_limit = pickle.loads(connection.recv_bytes())
            _prepare(memory_limit)
            attempts.announce = partial(_announce, connection, time_limit)
            connection.send("ready")
            while True:
                _serve(connection, function, time_limit)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


def _prepare(memory_limit: int | None) -> None:
    import cv2

    cv2.setNumThreads(1)
    statistics = Path("/proc/self/statm")  # elsewhere than on Linux there is no such limit
    if memory_limit is not None and statistics.exists():
        taken = int(statistics.read_text().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = taken + memory_limit
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _serve(connection: Connection, function: Callable[[Any], Any], time_limit: float) -> None:
    task, attempts.failed = connection.recv()
    attempts.file = task.stem if isinstance(task, Path) else ""
    _set_alarm(time_limit)
    result = _call(function, task)
    signal.alarm(0)
    send_result(connection, result)


def _announce(connection: Connection, time_limit: float, decoder: str) -> None:
    send_notice(connection, decoder)
    _set_alarm(seconds_for(decoder, time_limit))


def _set_alarm(seconds: float) -> None:
    """End this process if it hangs and its parent, which would kill it before, has died."""
    signal.alarm(math.ceil(seconds) + GRACE_SECONDS)


def _call(function: Callable[[Any], Any], task: Any) -> tuple[Any, str | RsnaError | None]:
    """The value, and what went wrong: a reason, or an error that is no fault of the task and ends the whole run."""
    try:
        return function(task), None
    except ImageError as error:
        return None, error.reason
    except RsnaError as error:
        return None, error
    except MemoryError:
        return None, "not enough memory to read it"
    except Exception as error:  # whatever it is, it must not take the other images with it
        return None, f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main(int(sys.argv[1]))
