"""`rsna kaggle push-code`: the code as a data set, verified; pushed when it differs, and refused when it is no code."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from checkout import Checkout
from kaggle_lab import Lab

from rsna.kaggle.snapshot import DIFF_FILE, take_snapshot

NAMES = {"ownerSlug": "alice", "datasetSlug": "rsna-code"}


def files(lab: Lab) -> dict[str, int]:
    """Bytes by path of the code data set, all pages."""
    found: dict[str, int] = {}
    token = ""
    while True:
        page = lab.call("ListDatasetFiles", {**NAMES, "pageSize": 200, "pageToken": token})
        found |= {file["name"]: file.get("totalBytes", 0) for file in page["datasetFiles"]}
        token = page.get("nextPageToken", "")
        if not token:
            return found


def version(lab: Lab) -> int:
    """The current version of the code data set; 0 without one."""
    response = lab.post("GetDataset", NAMES)
    return response.json()["currentVersionNumber"] if response.status_code == 200 else 0


def test_code_arrives_whole_and_equal_code_is_not_pushed_again(checkout: Checkout, lab: Lab) -> None:
    before = version(lab)
    assert "pushed" in checkout.rsna("kaggle", "push-code")
    snapshot = take_snapshot(checkout.root)
    found = files(lab)
    assert snapshot.sizes.items() <= found.items()
    assert set(found) == {*snapshot.files, "_build.json"}
    assert found["rsna/py.typed"] == 0  # empty, and there
    assert lab.call("GetDataset", NAMES)["isPrivate"]
    assert "nothing pushed" in checkout.rsna("kaggle", "push-code")
    assert version(lab) == before + 1
    metadata = json.loads((checkout.root / "kaggle_kernels" / "train" / "kernel-metadata.json").read_text())
    assert metadata["id"] == "alice/rsna-train"
    assert metadata["dataset_sources"] == ["alice/rsna-code", "alice/rsna-prepared"]


def test_a_commit_is_a_new_version_and_uncommitted_changes_stay_here(checkout: Checkout, lab: Lab) -> None:
    before = version(lab)
    checkout.commit("conf/extra.yaml", "a: 1\n")
    checkout.rsna("kaggle", "push-code")
    (checkout.root / "conf" / "extra.yaml").write_text("a: 2\n")
    assert "uncommitted changes stay here" in checkout.rsna("kaggle", "push-code")
    assert version(lab) == before + 1


def test_a_pushed_working_tree_is_marked_and_brings_its_difference(checkout: Checkout, lab: Lab) -> None:
    (checkout.root / "conf" / "extra.yaml").write_text("a: 2\n")
    assert "with changes" in checkout.rsna("kaggle", "push-code", "--dirty")
    assert DIFF_FILE in files(lab)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("conf/kaggle.json", "{}"),
        ("rsna/token.py", "t = 'KGAT_0123456789abcdef0123'\n"),
        ("rsna/patients.csv", "patient_id,cancer\n1,0\n"),
        ("conf/large.yaml", "a: " + "x" * 3_000_000),
    ],
)
def test_what_is_no_code_is_refused_by_name(checkout: Checkout, lab: Lab, path: str, text: str) -> None:
    before = version(lab)
    checkout.commit(path, text)
    assert path in checkout.rsna("kaggle", "push-code", status=2)
    assert version(lab) == before


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("create-refused", {"message": "quota of data sets used up"}, "quota of data sets used up"),
    ("dataset-failed", {}, "could not process"),
    ("upload-refused", {"times": 1}, "is missing"),
    ("wrapper-folder", {}, "is missing"),
    (
        "http-error",
        {"method": "CreateDatasetVersion", "status": 400, "body": "nested", "message": "your account is locked"},
        "400 your account is locked",
    ),
    ("http-error", {"method": "ListDatasetFiles", "status": 403, "message": "no"}, "403 no"),
]


@pytest.mark.loop
@pytest.mark.parametrize(("fault", "parameters", "said"), FAULTS, ids=[f"{f[0]}-{i}" for i, f in enumerate(FAULTS)])
def test_a_push_that_failed_fails_and_the_next_one_mends_it(
    checkout: Checkout, lab: Lab, fault: str, parameters: dict[str, Any], said: str, request: pytest.FixtureRequest
) -> None:
    checkout.rsna("kaggle", "push-code")
    checkout.commit("conf/extra.yaml", f"a: {request.node.name}\n")
    lab.faults.switch_on(fault, **parameters)
    assert said in checkout.rsna("kaggle", "push-code", status=1)
    lab.faults.switch_off()
    checkout.rsna("kaggle", "push-code")
    assert take_snapshot(checkout.root).sizes.items() <= files(lab).items()


def test_a_slug_that_a_kernel_has_is_refused(checkout: Checkout, lab: Lab) -> None:
    lab.push("taken-slug", "x = 1")
    checkout.rsna("init", "--code", "taken-slug")
    assert "already in use by a notebook" in checkout.rsna("kaggle", "push-code", status=1)


def test_a_status_that_lags_behind_does_not_end_the_wait(checkout: Checkout, lab: Lab) -> None:
    checkout.rsna("kaggle", "push-code")
    before = version(lab)
    checkout.commit("conf/extra.yaml", "a: stale\n")
    lab.faults.switch_on("stale-status")
    assert f"version {before + 1}" in checkout.rsna("kaggle", "push-code")


def test_passing_trouble_is_waited_out(checkout: Checkout, lab: Lab) -> None:
    checkout.rsna("kaggle", "push-code")
    checkout.commit("conf/extra.yaml", "a: trouble\n")
    for method in ("GetDatasetStatus", "ListDatasetFiles", "DownloadDataset", "CreateDatasetVersion"):
        lab.faults.switch_on("http-error", method=method, status=429, times=1)
    lab.faults.switch_on("upload-cut", times=1)
    assert "; pushed" in checkout.rsna("kaggle", "push-code")


@pytest.mark.loop
def test_a_version_that_never_gets_ready_ends_the_wait(checkout: Checkout, lab: Lab) -> None:
    checkout.rsna("kaggle", "push-code")
    before = version(lab)
    checkout.commit("conf/extra.yaml", "a: stuck\n")
    lab.faults.switch_on("dataset-stuck", times=1)
    impatient = (
        "import sys; from rsna.kaggle import datasets; from rsna.cli.app import main;"
        "datasets.WAIT_S = 2.0; sys.argv = ['rsna', 'kaggle', 'push-code']; main()"
    )
    command = [sys.executable, "-c", impatient]
    done = subprocess.run(command, cwd=checkout.root, env=checkout.environment, capture_output=True, text=True)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert f"alice/rsna-code: version {before + 1} was not ready after 2 s; Kaggle shows version {before}" in said
    assert "push again" in said
