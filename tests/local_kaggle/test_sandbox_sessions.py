"""Sessions in the sandbox: notebooks and scripts, their outputs, their logs, and their ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from session_lab import MB, make_spec, notebook, run, run_well, sandboxed_runner

import rsna.local_kaggle.memory
from rsna.errors import RsnaError
from rsna.local_kaggle.memory import find_place
from rsna.local_kaggle.mounts import Mount

EAT = "kept = []\nfor _ in range(60): kept.append(bytearray(b'1') * (16 * 2**20))"


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def processes_with(word: str) -> list[str]:
    """The processes of this machine with a word among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in path.read_bytes().decode("utf-8", "replace").split("\0"):
                found.append(path.parent.name)
        except OSError:
            continue  # it has ended in the meantime
    return found


def test_a_notebook_completes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.txt").write_text("content")
    cells = (
        "import os, pathlib\nprint('hello', os.environ['KAGGLE_KERNEL_RUN_TYPE'])",
        "pathlib.Path('sub/deep').mkdir(parents=True)\n"
        "pathlib.Path('sub/deep/out.txt').write_text(open('/kaggle/input/datasets/alice/set/a.txt').read())",
        "!echo from a shell",
        "from kaggle_secrets import UserSecretsClient\n"
        "try:\n    UserSecretsClient().get_secret('key')\nexcept Exception as error:\n    print(type(error).__name__)",
    )
    mounts = (Mount(data, "/kaggle/input/datasets/alice/set"),)
    session = run_well(tmp_path, notebook(*cells), type="notebook", mounts=mounts)
    assert (session.working / "sub" / "deep" / "out.txt").read_text() == "content"
    executed = json.loads((session.working / "__notebook__.ipynb").read_text())
    assert executed["cells"][0]["outputs"][0]["text"] == ["hello Batch\n"]
    for line in ("hello Batch", "from a shell", "BackendError"):
        assert line in session.said().replace("\r", "").splitlines()
    assert session.result.sandboxed
    assert session.result.proven_offline
    assert session.result.peak_memory is not None
    assert session.result.peak_memory > 10 * MB
    assert session.result.peak_disk == sum(p.stat().st_size for p in session.working.rglob("*") if p.is_file())


def test_a_failing_notebook_says_why(tmp_path: Path) -> None:
    cells = ("print('before')", "import json\njson.loads('{')", "print('after')")
    session = run(tmp_path, notebook(*cells), type="notebook")
    assert session.result.outcome == "error"
    assert session.result.message.startswith("JSONDecodeError: Expecting property name")
    assert "before" in session.said()
    assert "after" not in session.said()
    assert "Traceback (most recent call last)" in session.said("stderr")
    assert (session.working / "__notebook__.ipynb").exists()


def test_a_notebook_without_kernel_fails(tmp_path: Path) -> None:
    session = run(tmp_path, notebook("print(1)", kernel=False), type="notebook")
    assert session.result.outcome == "error"
    assert session.result.message == "ValueError: No kernel name found in notebook and no override provided."


def test_a_failing_script(tmp_path: Path) -> None:
    session = run(tmp_path, "import sys; print('out'); sys.exit('said last')")
    assert (session.result.outcome, session.result.message) == ("error", "said last")


def test_the_log_comes_while_it_runs(tmp_path: Path) -> None:
    """A session that is told to go on by what its log has shown must have been heard before its end."""
    spec, heard, cancelled = make_spec(tmp_path, "import time\nprint('now')\ntime.sleep(60)"), [], threading.Event()

    def log(record: object) -> None:
        heard.append(record)
        cancelled.set()

    result = sandboxed_runner().run(spec, log, cancelled)
    assert result.outcome == "cancelled"
    assert [record.data for record in heard] == ["now\n"]
    assert 0 < heard[0].time < result.seconds


def test_another_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RsnaError, match="Python only"):
        run(tmp_path, "print(1)", language="r")


def test_only_a_session_without_internet_is_proven_offline(tmp_path: Path) -> None:
    result = run_well(tmp_path, "pass", internet=True).result
    assert result.sandboxed
    assert not result.proven_offline


def test_a_time_limit_ends_the_whole_tree(tmp_path: Path) -> None:
    """Also a daemon that has left the session, its parent and the process group."""
    mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    script = f"""
import os, subprocess, sys, time
if os.fork() == 0:
    os.setsid()
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "{mark}"], start_new_session=True)
    os._exit(0)
print("started")
time.sleep(600)"""
    session = run(tmp_path, script, seconds=2.0)
    assert session.result.outcome == "timeout"
    assert session.said() == "started\n"
    wait_until(lambda: not processes_with(mark))


def test_cancelling_ends_a_notebook(tmp_path: Path) -> None:
    cancelled = threading.Event()
    timer = threading.Timer(2.0, cancelled.set)
    timer.start()
    session = run(tmp_path, notebook("import time; time.sleep(600)"), cancelled, type="notebook")
    assert session.result.outcome == "cancelled"


def test_nothing_outlives_a_killed_server(tmp_path: Path) -> None:
    sandboxed_runner()
    mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)', '{mark}'])"
    code = f"from session_lab import run; from pathlib import Path; run(Path({str(tmp_path)!r}), {script!r})"
    server = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)
    try:
        wait_until(lambda: bool(processes_with(mark)))
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
    wait_until(lambda: not processes_with(mark))
    if place := find_place():
        find_place.cache_clear()
        assert find_place() == place  # whoever looks again tidies up
        assert not list(place[0].glob(f"rsna-{server.pid}-*"))


def test_a_control_group_limits_memory(tmp_path: Path) -> None:
    if find_place() is None:
        pytest.skip("this user may not make control groups")
    result = run(tmp_path, EAT, memory_bytes=256 * MB).result
    assert (result.outcome, result.message) == (
        "out-of-memory",
        "exit status 137: it needed more than 256 MB of memory",
    )
    place = find_place()
    assert place is not None
    assert not list(place[0].glob(f"rsna-{os.getpid()}-*"))


def test_measuring_limits_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rsna.local_kaggle.memory, "find_place", lambda: None)
    hold = "\nimport time; time.sleep(60)"
    result = run(tmp_path, EAT + hold, memory_bytes=256 * MB).result
    assert result.outcome == "out-of-memory"
    assert result.peak_memory is not None
    assert result.peak_memory > 256 * MB


def test_memory_of_children_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of four holds a part; what they share counts once."""
    monkeypatch.setattr(rsna.local_kaggle.memory, "find_place", lambda: None)
    script = """
import os, time
shared = bytearray(b"1") * (100 * 2**20)
for _ in range(4):
    if os.fork() == 0:
        own = bytearray(b"1") * (20 * 2**20)
        break
time.sleep(1)"""
    result = run_well(tmp_path, script, memory_bytes=400 * MB).result
    assert result.peak_memory is not None
    assert 170 * MB < result.peak_memory < 300 * MB


@pytest.mark.parametrize("end", ["", "; import time; time.sleep(60)"])
def test_the_working_folder_has_a_limit(tmp_path: Path, end: str) -> None:
    """Also when the session has ended before anybody looked."""
    session = run(tmp_path, "open('big', 'wb').write(bytes(8 * 2**20))" + end, working_bytes=4 * MB)
    assert session.result.outcome == "out-of-disk"
    assert session.result.message == "/kaggle/working holds 8 MB; the limit is 4 MB"
    assert session.result.peak_disk == 8 * MB
