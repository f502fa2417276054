"""`rsna kaggle run`: every check before the push, exactly this run followed, its output here, its exit status ours."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from checkout import Checkout
from kaggle_lab import Lab, wait_for

from rsna.errors import InputError
from rsna.kaggle.request import RunRequest

OUTPUT = """
import json
(WORKING / "sub").mkdir()
(WORKING / "sub" / "told.json").write_text(json.dumps({**PUSHED, "build": BUILD}))
(WORKING / "lock.json").write_text("{}")
print("hello from", CODE.name)
"""
FAIL = "raise ValueError('this is what went wrong')"
SLOW = "import time\nprint('begun', flush=True)\ntime.sleep(5)\n(WORKING / 'lock.json').write_text('{}')\nprint('done')"


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    """A checkout whose code is pushed, with a library kernel that needs no network."""
    checkout.write_cells("library", OUTPUT)
    checkout.rsna("kaggle", "push-code")
    return checkout


def pushed(lab: Lab, slug: str) -> dict[str, Any]:
    """The newest push of a kernel, as the server keeps it."""
    query = "SELECT request FROM sessions JOIN kernels ON kernels.id = kernel WHERE slug = ? ORDER BY number DESC"
    row = lab.store.row(query, slug)
    assert row is not None
    return json.loads(row["request"])


def test_a_run_is_followed_and_its_output_fetched(ready: Checkout, lab: Lab) -> None:
    version = ready.kernel_versions("rsna-library") + 1
    said = ready.rsna("kaggle", "run", "library", "--timeout", "600")
    assert said.count("hello from rsna-code") == 1
    folder = ready.output("rsna-library", version)
    told = json.loads((folder / "sub" / "told.json").read_text())
    assert told["kind"] == "library"
    assert told["settings"]["user"] == "alice"
    assert told["code"] == told["build"]["content_hash"]
    assert "hello from" in (folder / "rsna-library.log").read_text()
    request = pushed(lab, "rsna-library")
    assert (request["enableInternet"], request["isPrivate"], request["sessionTimeoutSeconds"]) == (True, True, 600)
    assert request["text"].count("def load_code") == 1


@pytest.mark.loop
def test_the_older_mount_layout_makes_no_difference(ready: Checkout, lab: Lab) -> None:
    lab.faults.switch_on("old-layout")
    assert "hello from rsna-code" in ready.rsna("kaggle", "run", "library")


@pytest.mark.loop
def test_a_run_that_fails_fails_here_too_and_leaves_its_log_and_output(ready: Checkout) -> None:
    version = ready.kernel_versions("rsna-library") + 1
    ready.write_cells("library", OUTPUT, FAIL)
    said = ready.rsna("kaggle", "run", "library", status=1)
    assert "this is what went wrong" in said
    assert "ended as error" in said
    folder = ready.output("rsna-library", version)
    assert (folder / "sub" / "told.json").is_file()
    assert "this is what went wrong" in (folder / "rsna-library.log").read_text()


FAULTS = [
    ("push-refused", {"message": "Notebook not found"}, "Notebook not found"),
    ("session-limit", {}, "Maximum batch CPU session count"),
    ("sources-dropped", {}, "without the dataset source(s) alice/rsna-code"),
    ("session-failed", {}, "ended as error"),
    ("output-lost", {}, "has no lock.json"),
    ("http-error", {"method": "SaveKernel", "status": 400, "body": "nested", "message": "phone first"}, "phone first"),
    ("http-error", {"method": "SaveKernel", "status": 502, "body": "html"}, "502"),
]


@pytest.mark.loop
@pytest.mark.parametrize(("fault", "parameters", "said"), FAULTS, ids=[f"{f[0]}-{i}" for i, f in enumerate(FAULTS)])
def test_what_the_command_of_kaggle_takes_for_success_is_a_failure(
    ready: Checkout, lab: Lab, fault: str, parameters: dict[str, Any], said: str
) -> None:
    lab.faults.switch_on(fault, **parameters)
    assert said in ready.rsna("kaggle", "run", "library", status=1)


@pytest.mark.loop
def test_a_used_up_quota_of_gpu_hours_is_said(ready: Checkout, lab: Lab) -> None:
    ready.write_metadata("library", enable_gpu="true", machine_shape="NvidiaTeslaT4")
    version = ready.kernel_versions("rsna-library")
    lab.faults.switch_on("quota-exhausted")
    said = ready.rsna("kaggle", "run", "library", status=1)
    assert "Kaggle refused to run alice/rsna-library: Maximum weekly GPU quota of 30.00 hours" in said
    assert ready.kernel_versions("rsna-library") == version


@pytest.mark.loop
def test_a_push_that_comes_too_soon_is_tried_again_and_the_log_is_whole_although_its_stream_broke(
    ready: Checkout, lab: Lab
) -> None:
    version = ready.kernel_versions("rsna-library") + 1
    lab.faults.switch_on("http-error", method="SaveKernel", status=429, times=1)
    lab.faults.switch_on("log-cut", times=1)
    said = ready.rsna("kaggle", "run", "library")
    assert said.count("hello from rsna-code") == 1
    assert ready.kernel_versions("rsna-library") == version


@pytest.mark.loop
def test_code_that_is_not_there_is_said_before_the_push_and_pushed_on_demand(ready: Checkout) -> None:
    versions = ready.kernel_versions("rsna-library")
    ready.commit("conf/extra.yaml", "a: 1\n")
    said = ready.rsna("kaggle", "run", "library", status=2)
    assert "rsna kaggle push-code" in said
    assert ready.kernel_versions("rsna-library") == versions
    assert "hello from rsna-code" in ready.rsna("kaggle", "run", "library", "--push")


REFUSED = [
    (RunRequest("train", ("trainer.epoch=3",)), "epoch"),
    (RunRequest("train", ("trainer.epochs=0",)), "at least 1"),
    (RunRequest("train", ("seed=0,1",)), "configuration train"),
    (RunRequest("train", ("env=local",)), "env="),
    (RunRequest("prepare", ("data=breast_9",)), "breast_9"),
    (RunRequest("prepare", shard="3/2"), "no shard"),
    (RunRequest("prepare", resume=True), "takes no --resume"),
    (RunRequest("prepare", folds=5), "takes no --folds"),
    (RunRequest("train", folds=1), "at least 2"),
    (RunRequest("train", bundle=Path("models/x")), "takes no --bundle"),
    (RunRequest("library", ("fold=1",)), "takes no --set"),
    (RunRequest("train", seconds=5), "--timeout 5"),
    (RunRequest("learn"), "there is no kernel 'learn'"),
]


@pytest.mark.parametrize(("request_", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_would_fail_hours_later_fails_before_the_push(request_: RunRequest, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        request_.check()


MISSING = {
    "train": ("there is no data set alice/rsna-prepared (run `rsna kaggle run prepare`)", "competition rsna-breast"),
    "prepare": ("alice/rsna-library has no output yet (run `rsna kaggle run library`)", "competition rsna-breast"),
    "submit": ("there is no bundle in alice/rsna-model",),
}


@pytest.mark.parametrize("kind", MISSING)
def test_what_would_be_missing_is_named_before_the_push(checkout: Checkout, lab: Lab, kind: str) -> None:
    checkout.rsna("kaggle", "push-code")
    lab.store.write("DELETE FROM kernels")
    said = checkout.rsna("kaggle", "run", kind, status=2)
    assert all(text in said for text in MISSING[kind])
    assert checkout.kernel_versions(f"rsna-{kind}") == 0


def test_metadata_that_would_do_something_else_are_refused(ready: Checkout) -> None:
    versions = ready.kernel_versions("rsna-library")
    ready.write_metadata("library", title="The library", enable_internet=False)
    said = ready.rsna("kaggle", "run", "library", status=2)
    assert "title 'The library' becomes 'the-library'" in said
    assert "enable_internet must be true" in said
    assert ready.kernel_versions("rsna-library") == versions


@pytest.mark.loop
def test_whoever_stops_following_can_take_it_up_again(ready: Checkout, lab: Lab) -> None:
    version = ready.kernel_versions("rsna-library") + 1
    ready.write_cells("library", SLOW)
    process = ready.start("kaggle", "run", "library")
    wait_for(lambda: ready.kernel_versions("rsna-library") == version)
    wait_for(lambda: "begun" in (lab.log("rsna-library") or ""))
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "rsna kaggle follow library --version" in said
    assert "done" in ready.rsna("kaggle", "follow", "library", "--version", version)
    assert (ready.output("rsna-library", version) / "lock.json").is_file()


def test_the_unmodified_client_pushes_what_push_code_rendered(ready: Checkout, lab: Lab) -> None:
    folder = ready.root / "kaggle_kernels" / "library"
    assert "successfully pushed" in lab.kaggle("kernels", "push", "-p", folder)
    assert lab.wait_kernel("rsna-library")["status"] == "COMPLETE"
    assert "hello from rsna-code" in lab.log("rsna-library")
