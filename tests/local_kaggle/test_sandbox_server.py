"""The server with the sandboxed runner: what a session leaves, and what others get of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kaggle_lab import SETTINGS, Lab
from session_lab import notebook, sandboxed_runner

import rsna.local_kaggle.probe
from rsna.cli.app import main
from rsna.errors import RsnaError
from rsna.local_kaggle.connection import find_server
from rsna.local_kaggle.probe import check_sandbox, probe
from rsna.local_kaggle.profile import load_profile
from rsna.local_kaggle.server import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server for the tests of this module."""
    runner = sandboxed_runner()
    state = tmp_path_factory.mktemp("kaggle") / "state"
    with serving(state, runner, "alice", SETTINGS) as connection:
        assert connection.sandboxed
        yield Lab(state, connection)


def output_files(lab: Lab, slug: str) -> list[str]:
    answer = lab.call("ListKernelSessionOutput", {"userName": "alice", "kernelSlug": slug, "pageSize": 100})
    return [file["fileName"] for file in answer["files"]]


def test_outputs_are_inputs_of_others(lab: Lab) -> None:
    first = notebook("import os; os.makedirs('a/b'); open('a/b/c.txt', 'w').write('made'); open('empty', 'w').close()")
    assert lab.run("first-kernel", first, kernelType="notebook")["status"] == "COMPLETE"
    assert output_files(lab, "first-kernel") == ["__notebook__.ipynb", "a/b/c.txt", "empty"]
    second = "print(open('/kaggle/input/notebooks/alice/first-kernel/a/b/c.txt').read())"
    assert lab.run("second-kernel", second, kernelDataSources=["alice/first-kernel"])["status"] == "COMPLETE"
    assert lab.log("second-kernel") == "made\n"


def test_a_link_in_the_output_leads_nowhere(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    script = f"""
import os
os.symlink("/etc/passwd", "absolute")
os.symlink("../../../../../../../../../../etc/passwd", "relative")
os.symlink("{tmp_path}", "folder")
os.symlink("/proc/1/root/etc/passwd", "process")
os.mkfifo("pipe")
print("linked")
open("plain", "w").write(str(os.path.exists("folder/secret")))"""
    assert lab.run("links-kernel", script)["status"] == "COMPLETE"
    assert output_files(lab, "links-kernel") == ["plain"]
    target = tmp_path / "out"
    lab.kaggle("kernels", "output", "alice/links-kernel", "-p", target)
    assert (target / "plain").read_text() == "False"
    assert sorted(path.name for path in target.iterdir()) == ["links-kernel.log", "plain"]


def test_the_session_tells_its_end(lab: Lab) -> None:
    status = lab.run("failing-kernel", notebook("raise SystemError('no more')"), kernelType="notebook")
    assert status["status"] == "ERROR"
    assert "SystemError: no more" in lab.log("failing-kernel")
    report = lab.store.row("SELECT report FROM sessions ORDER BY id DESC")
    assert report is not None
    assert '"sandboxed": true' in report["report"]
    assert '"proven_offline": true' in report["report"]


def test_the_probe_tells_what_there_is() -> None:
    sandboxed_runner()
    findings = {finding.name: finding for finding in probe(load_profile())}
    assert str(findings["sandbox"]) == "sandbox: works, and has no network"
    assert findings["memory limit"].text.startswith(("exact", "by measuring"))
    assert "Python 3." in findings["image"].text


def test_the_command_runs_a_server_with_a_sandbox(tmp_path: Path) -> None:
    sandboxed_runner()
    state = tmp_path / "state"
    for arguments in (["up", "--port", "0", "--user", "alice"], ["down"]):
        with pytest.raises(SystemExit) as end:
            main(["local-kaggle", *arguments, "--state", str(state)])
        assert not end.value.code
        if arguments[0] == "up":
            connection = find_server(state)
            assert connection is not None
            assert connection.sandboxed


def test_without_a_sandbox_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(rsna.local_kaggle.probe, "PROGRAMS", ("no-such-program",))
    with pytest.raises(SystemExit) as end:
        main(["local-kaggle", "up", "--state", str(tmp_path / "state")])
    assert end.value.code == 1
    told = capsys.readouterr().err
    assert "no-such-program not found; install util-linux" in told
    assert "--unsafe" in told


def test_a_machine_that_forbids_namespaces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`unshare` that fails as it does for an ordinary user where AppArmor or seccomp forbids it."""
    runner = sandboxed_runner()
    program = tmp_path / "unshare"
    program.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(RsnaError, match=r"no sandbox for notebooks: .*Operation not permitted.*--unsafe"):
        check_sandbox(runner.image())
