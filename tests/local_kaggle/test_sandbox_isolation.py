"""What a session in the sandbox sees of this machine: nothing, and no way to it."""

from __future__ import annotations

import errno
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from session_lab import ask, run, run_well, sandboxed_runner

import rsna
from rsna.errors import RsnaError
from rsna.local_kaggle.mounts import Mount
from rsna.local_kaggle.sandboxed_runner import network_variables

TRY_TO_CONNECT = """
import json, socket
def attempt(function, *arguments):
    try:
        function(*arguments)
        return "works"
    except OSError as error:
        return type(error).__name__
"""


def test_no_network_but_the_loopback_interface(tmp_path: Path) -> None:
    script = """
server = socket.create_server(("127.0.0.1", 0))
print(json.dumps([
    attempt(socket.create_connection, server.getsockname(), 2),
    attempt(socket.create_connection, ("1.1.1.1", 443), 2),
    attempt(socket.getaddrinfo, "www.kaggle.com", 443),
    [name for _, name in socket.if_nameindex()],
]))"""
    loopback, address, name, interfaces = ask(tmp_path, TRY_TO_CONNECT + script)
    assert (loopback, address, name) == ("works", "OSError", "gaierror")
    assert interfaces == ["lo"]


@pytest.mark.parametrize(("internet", "expected"), [(True, "works"), (False, "ConnectionRefusedError")])
def test_only_a_session_with_internet_reaches_this_machine(tmp_path: Path, internet: bool, expected: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = f"print(json.dumps(attempt(socket.create_connection, {server.getsockname()!r}, 2)))"
        assert ask(tmp_path, TRY_TO_CONNECT + script, internet=internet) == expected


def test_inputs_are_read_only(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / "sub" / "a.txt").write_text("a")
    (tmp_path / "one.csv").write_text("b")
    data_path, file_path = "/kaggle/input/datasets/alice/set", "/kaggle/input/competitions/cup/one.csv"
    places = [
        "/kaggle/input/x",
        "/kaggle/input/datasets/x",
        f"{data_path}/x",
        f"{data_path}/sub/a.txt",
        file_path,
        "/usr/x",
    ]
    script = f"""
import json
codes = []
for place in {places}:
    try:
        open(place, "a").write("changed")
        codes.append(0)
    except OSError as error:
        codes.append(error.errno)
print(json.dumps([codes, open("{data_path}/sub/a.txt").read() + open("{file_path}").read()]))"""
    mounts = (Mount(data, data_path), Mount(tmp_path / "one.csv", file_path))
    codes, text = ask(tmp_path, script, mounts=mounts)
    assert codes == [errno.EROFS] * 6
    assert text == "ab"
    assert (data / "sub" / "a.txt").read_text() == "a"


def test_a_mount_over_a_part_of_another(tmp_path: Path) -> None:
    """A scoring rerun may put the hidden files in the place of the visible ones."""
    for name in ("visible", "hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test.csv").write_text(name)
    (tmp_path / "visible" / "train.csv").write_text("train")
    place = "/kaggle/input/cup"
    mounts = (Mount(tmp_path / "visible", place), Mount(tmp_path / "hidden" / "test.csv", f"{place}/test.csv"))
    script = f"import json; print(json.dumps([open('{place}/' + n + '.csv').read() for n in ('test', 'train')]))"
    assert ask(tmp_path, script, mounts=mounts) == ["hidden", "train"]


def test_files_of_this_machine_are_not_there(tmp_path: Path) -> None:
    project = Path(rsna.__file__).parent
    hidden = [project, project.parent, Path(sys.prefix), Path.home() / ".config", Path.home() / ".ssh", Path("/var")]
    hidden += [tmp_path, Path.cwd(), Path("/etc/shadow"), Path("/sys"), Path("/run"), Path("/boot")]
    script = f"import json, os; print(json.dumps([p for p in {[str(p) for p in hidden]!r} if os.path.exists(p)]))"
    assert ask(tmp_path, script) == []


def test_home_and_environment_are_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "secret")
    monkeypatch.setenv("SOME_TOKEN", "secret")
    monkeypatch.setenv("https_proxy", "http://proxy")
    script = """
import json, os
print(json.dumps([dict(os.environ), os.path.expanduser("~"), os.listdir(os.path.expanduser("~")), os.getcwd()]))"""
    variables, home, listing, folder = ask(tmp_path, script)
    known = {"PATH", "LD_LIBRARY_PATH", "HOME", "LANG", "PYTHONPATH", "KAGGLE_KERNEL_RUN_TYPE", "LC_CTYPE"}
    assert set(variables) <= known
    assert (home, listing, folder) == ("/root", [], "/kaggle/working")


def test_a_session_with_internet_gets_what_leads_there() -> None:
    base = {"https_proxy": "http://p", "PIP_INDEX_URL": "http://i", "SOME_TOKEN": "s", "KAGGLE_API_TOKEN": "s"}
    assert set(network_variables(base)) == {"https_proxy", "PIP_INDEX_URL"}
    assert network_variables({**base, "KAGGLE_API_ENVIRONMENT": "LOCALHOST"}) == {}


def test_root_in_the_sandbox_has_no_power(tmp_path: Path) -> None:
    script = r"""
import ctypes, json, os, re, subprocess
def fails(*command):
    return subprocess.run(command, capture_output=True).returncode != 0
capabilities = re.findall(r"Cap\w+:\t(\w+)", open("/proc/self/status").read())
places = ("/proc/sys/kernel/panic", "/proc/sysrq-trigger", "/dev/sda")
writable = [place for place in places if os.path.exists(place) and os.access(place, os.W_OK)]
print(json.dumps({
    "capabilities": sorted(set(capabilities)),
    "mount": fails("mount", "-t", "tmpfs", "none", "/kaggle/input"),
    "remount": fails("mount", "-o", "remount,rw,bind", "/usr"),
    "unmount": fails("umount", "/kaggle/working"),
    "namespace": fails("unshare", "--user", "true"),
    "writable": writable,
    "processes": [int(name) for name in os.listdir("/proc") if name.isdigit()],
    "name": os.uname().nodename,
}))"""
    seen = ask(tmp_path, script)
    assert seen["capabilities"] == ["0000000000000000"]
    assert seen["mount"]
    assert seen["remount"]
    assert seen["unmount"]
    assert seen["namespace"]
    assert seen["writable"] == []
    assert seen["processes"] == [1, 2]
    assert seen["name"] == "kaggle"


def test_private_places_can_be_written_to_and_vanish(tmp_path: Path) -> None:
    script = """
for place in ("/tmp", "/root", "/kaggle/temp", "/dev/shm", "/kaggle/working"):
    open(place + "/kept", "w").write(place)"""
    assert [path.name for path in run_well(tmp_path, script).working.iterdir()] == ["kept"]
    (tmp_path / "again").mkdir()
    script = (
        "import json, os; print(json.dumps([os.listdir(p) for p in ('/tmp', '/root', '/kaggle/temp', '/dev/shm')]))"
    )
    assert ask(tmp_path / "again", script) == [[]] * 4


def test_a_sandbox_that_cannot_be_set_up_says_why(tmp_path: Path) -> None:
    mounts = (Mount(tmp_path / "gone", "/kaggle/input/gone"),)
    with pytest.raises(RsnaError, match=r"bind .*gone: No such file"):
        run(tmp_path, "pass", mounts=mounts)
    assert not list((tmp_path / "working").iterdir())
    assert os.listdir(tmp_path / "scratch" / "root") == []


FORK_WITHOUT_END = """
import os, signal
children = 0
try:
    while children < 2000:
        if os.fork() == 0:
            signal.pause()
        children += 1
except OSError as error:
    print(children, type(error).__name__)
"""


def test_a_fork_bomb_is_contained() -> None:
    sandbox = replace(sandboxed_runner().image().sandbox(), processes=400)
    done = sandbox.run(["python", "-c", FORK_WITHOUT_END])
    children, error = done.stdout.decode().split()
    assert error == "BlockingIOError"
    assert 100 < int(children) < 400
    assert sandbox.run(["python", "-c", "print(1)"]).stdout == b"1\n"  # and nothing is left of it
