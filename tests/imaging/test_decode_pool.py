"""Workers that crash, hang or eat memory lose only their own image."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from pool_tasks import environment, misbehave

from rsna.errors import RsnaError
from rsna.imaging import DecodePool


def has_ended(pid: int, seconds: float = 30) -> bool:
    """Whether a process ends by itself."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_failing_task_leaves_the_others_alone() -> None:
    tasks = [
        ("double", 21),
        ("abort", None),
        ("array", 300),
        ("sleep", 600),
        ("segfault", None),
        ("double", 1),
        ("allocate", 4 * 2**30),
        ("exit", 3),
        ("refuse", "a colour image"),
        ("bug", "key"),
        ("print", "noise"),
        ("double", 2),
    ]
    with DecodePool(misbehave, workers=2, time_limit=2, memory_limit=2**30) as pool:
        outcomes = list(pool.map(tasks))
    assert [outcome.task for outcome in outcomes] == tasks
    assert [outcome.error for outcome in outcomes] == [
        None,
        "the decoder crashed (SIGABRT)",
        None,
        "took longer than 2 s",
        "the decoder crashed (SIGSEGV)",
        None,
        "not enough memory to read it",
        "the decoder crashed (exit status 3)",
        "a colour image",
        "KeyError: 'key'",
        None,
        None,
    ]
    assert [outcomes[i].value for i in (0, 5, 11)] == [42, 2, 4]
    np.testing.assert_array_equal(outcomes[2].value, np.full((300, 300), 7, np.uint16))
    assert outcomes[2].value.flags.writeable


def test_workers_are_light_and_single_threaded() -> None:
    with DecodePool(environment, workers=1) as pool:
        (outcome,) = pool.map([0])
    found = outcome.value
    assert not {"torch", "pytest", "lightning", "pandas"} & set(found["modules"])
    assert found["main"] == "worker.py"
    assert found["threads"] == 1
    assert found["pid"] != os.getpid()


def test_tasks_are_pulled_as_they_are_needed() -> None:
    pulled = []

    def tasks() -> Iterator[tuple[str, int]]:
        for i in range(50):
            pulled.append(i)
            yield "double", i

    with DecodePool(misbehave, workers=2, prefetch=5) as pool:
        outcomes = pool.map(tasks())
        next(outcomes)
        assert len(pulled) == 5
        next(outcomes)
        assert len(pulled) == 6
        assert [outcome.value for outcome in outcomes] == [2 * i for i in range(2, 50)]


def test_an_error_that_is_no_fault_of_the_image_is_raised() -> None:
    with (
        DecodePool(misbehave, workers=1) as pool,
        pytest.raises(RsnaError, match="no space left"),
    ):
        list(pool.map([("double", 1), ("disk full", "no space left")]))


def test_a_function_that_workers_cannot_import_is_said_so() -> None:
    function = type(misbehave)(misbehave.__code__, {}, "nowhere")
    function.__module__, function.__qualname__ = "pool_tasks", "nowhere"
    sys.modules["pool_tasks"].nowhere = function  # type: ignore[attr-defined]
    try:
        with (
            DecodePool(function, workers=1) as pool,
            pytest.raises(RsnaError, match=r"a decoding worker does not start \(exit status 1\)"),
        ):
            list(pool.map([1]))
    finally:
        del sys.modules["pool_tasks"].nowhere  # type: ignore[attr-defined]


def test_a_worker_that_was_killed_while_idle_costs_no_image() -> None:
    with DecodePool(misbehave, workers=1) as pool:
        (first,) = pool.map([("pid", None)])
        os.kill(first.value, signal.SIGKILL)
        assert has_ended(first.value)
        (second,) = pool.map([("pid", None)])
    assert second.error is None
    assert second.value != first.value


def interrupt_when_both_have_worked(pids: set[int]) -> None:
    with DecodePool(misbehave, workers=2) as pool:
        for outcome in pool.map([("pid", None)] * 1000):
            pids.add(outcome.value)
            if len(pids) == 2:
                raise KeyboardInterrupt


def test_an_interrupt_ends_the_workers() -> None:
    pids: set[int] = set()
    with pytest.raises(KeyboardInterrupt):
        interrupt_when_both_have_worked(pids)
    assert len(pids) == 2
    assert all(has_ended(pid) for pid in pids)


def test_closing_does_not_wait_for_a_hanging_worker() -> None:
    with DecodePool(misbehave, workers=1, time_limit=6000) as pool:
        outcomes = pool.map([("pid", None), *[("sleep", 6000)] * 5])
        pid = next(outcomes).value
    assert has_ended(pid)


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import time\n"
        "from pool_tasks import misbehave\n"
        "from rsna.imaging import DecodePool\n"
        "pool = DecodePool(misbehave, workers=1)\n"
        "print(next(pool.map([('pid', None)])).value, flush=True)\n"
        "time.sleep(600)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), *filter(None, sys.path)))}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert psutil.pid_exists(worker)
        parent.send_signal(signal.SIGKILL)
    assert has_ended(worker)
