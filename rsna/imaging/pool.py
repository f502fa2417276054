"""Worker processes for hostile input: a decoder may crash, hang or eat memory, and only its image is lost.

Each worker is a fresh interpreter (`worker.py`) that loads neither torch nor the parent's main module. Tasks and
results go over a socket, so `/dev/shm` is not used. A thread of the parent looks after each worker, so that workers go
on while the consumer is busy.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import Any, Generic, TypeVar

from rsna.errors import RsnaError
from rsna.imaging.attempts import seconds_for
from rsna.imaging.transport import receive

T = TypeVar("T")

START_SECONDS = 120.0  # for a worker to load its libraries, also on a busy machine


def core_count() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class Outcome(Generic[T]):
    """What became of a task: a value, or the reason why there is none."""

    task: T
    value: Any = None
    error: str | None = None


class DecodePool:
    """Runs a function in worker processes, with a time and a memory limit for each task.

    A worker that dies or runs out of time is replaced. Where it had announced a decoder (`attempts.py`), the new one
    tries its task again without that; otherwise the task becomes an outcome with an error. Use it as a context manager.
    Workers end with their parent, however that ends.

    Args:
        function: Called as `function(task)`. Picklable, and importable without the main module.
        workers: Processes; less than 1 for one per core.
        time_limit: Seconds that a task may take; where it announces decoders, each of them and what lies between.
        memory_limit: Bytes a worker may take beyond what it has once it is loaded; None for no limit.
        prefetch: How many tasks are under way or wait to be consumed; four per worker by default.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        workers: int,
        time_limit: float = 60.0,
        memory_limit: int | None = None,
        prefetch: int | None = None,
    ) -> None:
        count = workers if workers > 0 else core_count()
        job = pickle.dumps((function, time_limit, memory_limit))
        self._prefetch = max(count, prefetch or 4 * count)
        self._workers = [_Worker(job, time_limit) for _ in range(count)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decode")

    def map(self, tasks: Iterable[T]) -> Iterator[Outcome[T]]:
        """Yield one outcome per task, in order. Tasks are pulled as they are needed.

        Raises:
            RsnaError: Workers do not start, or the function raised it (but for `ImageError`): no fault of the task.
        """
        pending: deque[Future[Outcome[T]]] = deque()
        try:
            for task in tasks:
                pending.append(self._threads.submit(self._run, task))
                if len(pending) >= self._prefetch:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """Stop at once; what is under way is lost."""
        for worker in self._workers:
            worker.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _run(self, task: T) -> Outcome[T]:
        worker = self._idle.get()
        try:
            return worker.run(task)
        finally:
            self._idle.put(worker)

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Worker:
    """One worker process, started when it is first needed and again after it was lost."""

    def __init__(self, job: bytes, time_limit: float) -> None:
        self._job = job
        self._time_limit = time_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._closed = False

    def run(self, task: T) -> Outcome[T]:
        """Run one task. Where a decoder takes the process with it, a new one goes on with the next decoder.

        A SIGKILL comes from outside, as a rule: the same decoder gets a second chance, so the pixels stay the same.
        """
        failed: dict[str, str] = {}
        killed: set[str] = set()
        while True:
            if self._closed:
                return Outcome(task, error="the pool was closed")
            decoder, reason, value = self._try(task, failed)
            if reason is None:
                result, error = value
                if isinstance(error, RsnaError):
                    raise error
                return Outcome(task, result, error)
            if reason.endswith("(SIGKILL)") and decoder not in killed:
                killed.add(decoder)
                continue
            if not decoder or decoder in failed:
                return Outcome(task, error=reason)
            failed[decoder] = reason

    def _try(self, task: Any, failed: dict[str, str]) -> tuple[str, str | None, Any]:
        """The decoder that was at work when the process was lost, if any, how it was lost, or else the result."""
        if self._connection is not None and self._process is not None and self._process.poll() is not None:
            self._stop()  # killed while it had nothing to do, perhaps for want of memory
        if self._connection is None:
            self._start()
        assert self._connection is not None
        decoder, deadline = "", time.monotonic() + self._time_limit
        try:
            self._connection.send((task, failed))
            while self._connection.poll(max(0.0, deadline - time.monotonic())):
                notice, value = receive(self._connection)
                if notice is None:
                    return decoder, None, value
                decoder, deadline = notice, time.monotonic() + seconds_for(notice, self._time_limit)
        except (EOFError, OSError):
            return decoder, f"the decoder crashed ({self._stop()})", None
        self._stop()
        return decoder, f"took longer than {self._time_limit:g} s", None

    def close(self) -> None:
        """End the process; may be called from another thread while a task is under way."""
        self._closed = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "rsna.imaging.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what libraries print must not mix with the parent's output
                pass_fds=(theirs.fileno(),),
                env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            )
        if self._closed:  # while it was starting
            self._process.kill()
        try:
            self._connection.send_bytes(self._job)
            if self._connection.poll(START_SECONDS) and self._connection.recv() == "ready":
                return
        except (EOFError, OSError):
            pass
        raise RsnaError(f"a decoding worker does not start ({self._stop()})")

    def _stop(self) -> str:
        """End the process, which has failed, and say how it ended."""
        assert self._process is not None
        assert self._connection is not None
        self._connection.close()
        self._connection = None
        try:
            status = self._process.wait(0.5)  # a dead one tells why; one that hangs is killed
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"
