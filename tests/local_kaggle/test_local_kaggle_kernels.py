"""Kernels through the unmodified client, and the rules of the platform that they run into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kaggle_lab import Lab, wait_for

KERNELSPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}
PRINT_INPUTS = "import os\nfor root, _, names in os.walk('/kaggle/input', followlinks=True):\n    print(root, names)\n"


def notebook(*cells: str, **metadata: Any) -> str:
    """A notebook of code cells."""
    code = [
        {"cell_type": "code", "source": cell, "outputs": [], "metadata": {}, "execution_count": None} for cell in cells
    ]
    return json.dumps({"cells": code, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4})


def write_kernel(folder: Path, slug: str, source: str, **fields: Any) -> Path:
    """A folder for `kaggle kernels push`."""
    folder.mkdir(exist_ok=True)
    kind = "notebook" if source.startswith("{") else "script"
    code_file = "code.ipynb" if kind == "notebook" else "code.py"
    (folder / code_file).write_text(source)
    metadata = {"id": f"alice/{slug}", "title": slug.replace("-", " "), "code_file": code_file, "kernel_type": kind}
    metadata |= {"language": "python", "enable_internet": False, **fields}
    (folder / "kernel-metadata.json").write_text(json.dumps(metadata))
    return folder


@pytest.mark.loop
def test_life_of_a_notebook(lab: Lab, tmp_path: Path) -> None:
    """Push, live log, status, output, files, log, pull, list, delete: every command, in the order of a life."""
    lab.create_dataset("note-data", {"a.csv": b"1"})
    cells = ("print('hello', flush=True)", "open('/kaggle/working/out.txt', 'w').write('result')")
    source = notebook(*cells, PRINT_INPUTS, kernelspec=KERNELSPEC)
    folder = write_kernel(tmp_path / "code", "first-notebook", source, dataset_sources=["alice/note-data"])
    assert "Kernel version 1 successfully pushed" in lab.kaggle("kernels", "push", "-p", folder)
    live = lab.kaggle("kernels", "logs", "-f", "alice/first-notebook")
    assert "hello" in live
    assert "kaggle/input/datasets/alice/note-data ['a.csv']" in live
    assert "KernelWorkerStatus.COMPLETE" in lab.kaggle("kernels", "status", "alice/first-notebook")
    lab.kaggle("kernels", "output", "alice/first-notebook", "-p", tmp_path / "out")
    assert (tmp_path / "out" / "out.txt").read_text() == "result"
    executed = json.loads((tmp_path / "out" / "__notebook__.ipynb").read_text())
    assert executed["cells"][0]["outputs"][0]["text"] == ["hello\n"]
    log = (tmp_path / "out" / "first-notebook.log").read_text()
    assert log.startswith('[{"stream_name"')
    assert {"stream_name": "stdout", "data": "hello\n"}.items() <= next(
        record for record in json.loads(log) if "hello" in record["data"]
    ).items()
    assert "out.txt" in lab.kaggle("kernels", "files", "alice/first-notebook")
    assert '"data": "hello' in lab.kaggle("kernels", "logs", "alice/first-notebook")
    lab.kaggle("kernels", "pull", "alice/first-notebook", "-p", tmp_path / "pulled", "-m")
    pulled = json.loads((tmp_path / "pulled" / "kernel-metadata.json").read_text())
    assert pulled["id"] == "alice/first-notebook"
    assert pulled["dataset_sources"] == ["alice/note-data"]
    assert pulled["enable_internet"] is False
    assert "first-notebook" in lab.kaggle("kernels", "list", "--mine")
    lab.kaggle("kernels", "delete", "alice/first-notebook", "--yes")
    assert "was denied" in lab.kaggle("kernels", "status", "alice/first-notebook", status=1)


def test_push_and_output_of_a_script(lab: Lab, tmp_path: Path) -> None:
    """A page size of 1 makes the client loop over pages; names with folders are kept."""
    source = "import os\nos.makedirs('sub')\nfor n in 'abc':\n    open(f'sub/{n}.txt', 'w').write(n)\n"
    lab.kaggle("kernels", "push", "-p", write_kernel(tmp_path / "code", "some-script", source))
    assert lab.wait_kernel("some-script")["status"] == "COMPLETE"
    lab.kaggle("kernels", "output", "alice/some-script", "-p", tmp_path / "out", "--page-size", "1")
    assert [path.read_text() for path in sorted((tmp_path / "out" / "sub").iterdir())] == ["a", "b", "c"]


def test_init_writes_a_template(lab: Lab, tmp_path: Path) -> None:
    lab.kaggle("kernels", "init", "-p", tmp_path)
    assert json.loads((tmp_path / "kernel-metadata.json").read_text())["id"].startswith("alice/")


def test_quota_is_told(lab: Lab) -> None:
    assert "30.00h" in lab.kaggle("quota")


def test_sources_that_do_not_exist_are_dropped(lab: Lab, tmp_path: Path) -> None:
    """With exit status 0, and the kernel runs without them; of models the client says nothing at all."""
    sources = {"dataset_sources": ["alice/no-such-set"], "kernel_sources": ["alice/no-such-kernel"]}
    models = {"competition_sources": ["no-such-competition"], "model_sources": ["a/b/pyTorch/c/1"]}
    folder = write_kernel(tmp_path / "code", "lost-sources", PRINT_INPUTS, **sources, **models)
    said = lab.kaggle("kernels", "push", "-p", folder)
    for source in ("no-such-set", "no-such-kernel", "no-such-competition"):
        assert source in said
    assert lab.wait_kernel("lost-sources")["status"] == "COMPLETE"
    metadata = lab.call("GetKernel", {"userName": "alice", "kernelSlug": "lost-sources"})["metadata"]
    assert metadata["modelDataSources"] == metadata["datasetDataSources"] == []


def test_a_failed_kernel_tells_why(lab: Lab) -> None:
    status = lab.run("failing-script", "open('left.txt', 'w')\nraise ValueError('deliberate')")
    assert status == {"status": "ERROR", "failureMessage": "ValueError: deliberate"}
    assert "Traceback" in lab.log("failing-script")


def test_a_notebook_without_kernelspec_fails(lab: Lab) -> None:
    status = lab.run("no-kernelspec", notebook("1"), kernelType="notebook")
    assert status["status"] == "ERROR"
    assert "No kernel name found in notebook and no override provided" in lab.log("no-kernelspec")


def test_output_of_a_timed_out_run_is_lost(lab: Lab) -> None:
    text = "import time\nopen('half.txt', 'w').close()\nprint('started', flush=True)\ntime.sleep(60)"
    assert lab.run("too-slow", text, sessionTimeoutSeconds=1) == {"status": "ERROR", "failureMessage": "timeout"}
    answer = lab.call("ListKernelSessionOutput", {"userName": "alice", "kernelSlug": "too-slow"})
    assert answer["files"] == []
    assert "started" in answer["log"]


def test_every_push_is_a_version_with_its_own_output(lab: Lab) -> None:
    """A version is asked for as `v1`; a bare number is not found, and a slug with a version is denied."""
    lab.run("versions", "open('one.txt', 'w')")
    lab.run("versions", "open('two.txt', 'w')\nraise SystemExit(1)")
    names = {"userName": "alice", "kernelSlug": "versions"}
    assert lab.call("GetKernelSessionStatus", names)["status"] == "ERROR"
    assert lab.call("GetKernelSessionStatus", {**names, "versionLabel": "v1"})["status"] == "COMPLETE"
    files = lab.call("ListKernelFiles", {**names, "versionLabel": "v1"})["files"]
    assert [file["name"] for file in files] == ["one.txt"]
    assert lab.post("GetKernel", {**names, "versionLabel": "1"}).status_code == 404
    assert lab.post("GetKernel", {"userName": "alice", "kernelSlug": "versions/1"}).status_code == 403


def test_output_of_a_kernel_is_a_source_for_another(lab: Lab) -> None:
    """As it was written: archives stay archives; of the newest version that completed, or of the one that is named."""
    lab.run("library", "import gzip\ngzip.open('a.tar.gz', 'w').write(b'1')")
    lab.run("library", "open('failed.txt', 'w')\nraise SystemExit(1)")
    lab.run("reader", PRINT_INPUTS, kernelDataSources=["alice/library"])
    assert "kaggle/input/notebooks/alice/library ['a.tar.gz']" in lab.log("reader")
    lab.run("library", "open('b.txt', 'w')")
    lab.run("reader", PRINT_INPUTS, kernelDataSources=["alice/library/1"])
    assert "['a.tar.gz']" in lab.log("reader")


def test_a_dataset_that_is_not_ready_is_not_mounted(lab: Lab) -> None:
    lab.faults.switch_on("dataset-stuck", times=1)
    files = [{"token": lab.upload("a.txt", b"a")}]
    lab.call("CreateDataset", {"ownerSlug": "alice", "slug": "not-ready", "title": "not ready", "files": files})
    answer = lab.push("early-bird", PRINT_INPUTS, datasetDataSources=["alice/not-ready"])
    assert answer["invalidDatasetSources"] == []
    assert lab.wait_kernel("early-bird")["status"] == "COMPLETE"
    assert "not-ready" not in lab.log("early-bird")


def test_links_in_the_output_are_not_followed(lab: Lab) -> None:
    text = "import os\nos.symlink('/etc/hostname', 'leak.txt')\nos.symlink('/etc', 'leak')\nopen('ok.txt', 'w')"
    lab.run("leaky", text)
    answer = lab.call("ListKernelSessionOutput", {"userName": "alice", "kernelSlug": "leaky"})
    assert [file["fileName"] for file in answer["files"]] == ["ok.txt"]


def test_inputs_cannot_be_changed(lab: Lab) -> None:
    lab.create_dataset("read-only", {"a.txt": b"a"})
    text = "import os\nprint(oct(os.stat('/kaggle/input/datasets/alice/read-only/a.txt').st_mode & 0o222))"
    lab.run("look-at-mode", text, datasetDataSources=["alice/read-only"])
    assert lab.log("look-at-mode") == "0o0\n"


def test_secrets_vanish(lab: Lab) -> None:
    """A push takes the secrets off; only the fault keeps them."""
    (lab.state / "kaggle-secrets.json").write_text(json.dumps({"BUCKET_KEY": "of no real bucket"}))
    text = "from kaggle_secrets import UserSecretsClient\nprint(UserSecretsClient().get_secret('BUCKET_KEY'))"
    assert "No user secrets exist" in lab.run("wants-secret", text)["failureMessage"]
    lab.faults.switch_on("secrets-kept")
    lab.run("wants-secret", text)
    assert lab.log("wants-secret") == "of no real bucket\n"


def test_the_environment_is_cleared(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "1")
    lab.run("environment", "import os\nprint(sorted(os.environ))")
    assert "SECRET_OF_THE_SHELL" not in lab.log("environment")
    assert "KAGGLE_KERNEL_RUN_TYPE" in lab.log("environment")
    assert "KAGGLE_IS_COMPETITION_RERUN" not in lab.log("environment")


def test_a_new_kernel_gets_the_slug_of_its_title(lab: Lab, tmp_path: Path) -> None:
    folder = write_kernel(tmp_path / "code", "asked-for-this", "pass", title="But got that")
    assert "code/alice/but-got-that" in lab.kaggle("kernels", "push", "-p", folder)
    assert lab.wait_kernel("but-got-that")["status"] == "COMPLETE"
    response = lab.post("GetKernel", {"userName": "alice", "kernelSlug": "asked-for-this"})
    assert response.status_code == 403


def test_push_refusals(lab: Lab) -> None:
    body = {"newTitle": "refused push", "text": "pass", "language": "python", "kernelType": "script"}
    lab.create_dataset("refused-push", {"a.txt": b"a"})
    assert lab.post("SaveKernel", {**body, "slug": "alice/refused-push"}).status_code == 409
    assert lab.post("SaveKernel", {**body, "slug": "bob/refused-push"}).status_code == 403
    assert lab.post("SaveKernel", {**body, "slug": "alice/x", "newTitle": "four"}).status_code == 400
    assert (
        lab.post("SaveKernel", {**body, "slug": "alice/x", "newTitle": "some app", "kernelType": "app"}).status_code
        == 400
    )
    assert lab.post("SaveKernel", {**body, "id": 10**6}).status_code == 404
    lab.run("stays-script", "pass")
    changed = {**body, "slug": "alice/stays-script", "kernelType": "notebook"}
    assert lab.post("SaveKernel", changed).status_code == 400
    image = {**body, "slug": "alice/stays-script", "dockerImage": "docker.io/library/python"}
    assert "docker image" in lab.call("SaveKernel", image)["error"]


def test_quick_save_does_not_run(lab: Lab) -> None:
    lab.push("only-saved", "print('ran')", kernelExecutionType="QUICK_SAVE")
    answer = lab.call("GetKernelSessionStatus", {"userName": "alice", "kernelSlug": "only-saved"})
    assert answer["status"] == "NEW_SCRIPT"


def test_too_many_sessions_are_refused_with_exit_status_0(lab: Lab, tmp_path: Path) -> None:
    lab.faults.switch_on("session-stuck")
    for number in range(5):
        lab.push(f"waiting-{number}", "pass")
    folder = write_kernel(tmp_path / "code", "one-too-many", "pass")
    assert "Maximum batch CPU session count of 5 reached" in lab.kaggle("kernels", "push", "-p", folder)
    lab.push("with-accelerator", "pass", machineShape="NvidiaTeslaT4")  # has a limit of its own
    lab.faults.switch_off("session-stuck")
    for number in range(5):
        assert lab.wait_kernel(f"waiting-{number}")["status"] == "COMPLETE"


def test_live_log_arrives_while_the_session_runs(lab: Lab) -> None:
    lab.push("slow-talker", "import time\nprint('early', flush=True)\ntime.sleep(2)\nprint('late')")
    names = {"userName": "alice", "kernelSlug": "slow-talker"}
    wait_for(lambda: lab.call("GetKernelSessionStatus", names)["status"] == "RUNNING")
    with lab.http() as client, client.stream("GET", "/api/v1/kernels/logs/stream/alice/slow-talker") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in response.iter_lines() if line)
        assert json.loads(next(lines).removeprefix("data: "))["data"] == "early\n"
        assert lab.call("GetKernelSessionStatus", names)["status"] == "RUNNING"
        assert [*lines][-1] == "data: END_OF_LOG"


def test_hundreds_of_outputs_come_in_pages(lab: Lab) -> None:
    lab.run("many-outputs", "for n in range(45):\n    open(f'{n:02}.txt', 'w')")
    names = {"userName": "alice", "kernelSlug": "many-outputs"}
    first = lab.call("ListKernelSessionOutput", names)
    assert len(first["files"]) == 20
    last = lab.call("ListKernelSessionOutput", {**names, "pageSize": 40, "pageToken": first["nextPageToken"]})
    assert [file["fileName"] for file in last["files"]] == [f"{n:02}.txt" for n in range(20, 45)]
    assert last["nextPageToken"] == ""
