"""Every fault can be switched on, and does what it says to the unmodified client or to a plain call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kaggle_lab import Lab

from rsna.errors import InputError
from rsna.local_kaggle.faults import FAULTS, Faults
from rsna.local_kaggle.store import Store

METADATA = '{"title": "fault set", "id": "alice/fault-set", "licenses": [{"name": "CC0-1.0"}], "keywords": ["x-ray"]}'
BODY = {"newTitle": "faulty kernel", "slug": "alice/faulty-kernel", "text": "pass", "kernelType": "script"}


def dataset_folder(folder: Path) -> Path:
    (folder / "dataset-metadata.json").write_text(METADATA)
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")
    return folder


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"status": 429, "retry_after": 7}, {"code": 429, "message": "The fault http-error is switched on (429)"}),
        ({"status": 400, "body": "nested", "message": "m"}, {"error": {"code": 400, "message": "m"}}),
        ({"status": 503, "message": "m"}, {"code": 503, "message": "m"}),
    ],
)
def test_http_errors(lab: Lab, parameters: dict[str, Any], expected: dict[str, Any]) -> None:
    lab.faults.switch_on("http-error", method="ListDatasets", times=1, **parameters)
    response = lab.post("ListDatasets")
    assert response.status_code == parameters["status"]
    assert response.json() == expected
    assert response.headers.get("retry-after") == ("7" if parameters["status"] == 429 else None)
    assert lab.post("ListDatasets").status_code == 200


def test_html_in_the_place_of_json(lab: Lab) -> None:
    lab.faults.switch_on("http-error", method="SaveKernel", status=502, body="html")
    response = lab.post("SaveKernel", BODY)
    assert response.headers["content-type"].startswith("text/html")
    assert lab.post("ListKernels").status_code == 200  # another call is not meant


def test_the_client_hides_a_nested_reason(lab: Lab) -> None:
    lab.faults.switch_on("http-error", method="ListKernels", status=400, body="nested", message="the true reason")
    said = lab.kaggle("kernels", "list", status=1)
    assert "400 Client Error" in said
    assert "the true reason" not in said


def test_the_client_waits_and_tries_again_on_429(lab: Lab, tmp_path: Path) -> None:
    lab.faults.switch_on("http-error", method="StartBlobUpload", status=429, retry_after=1, times=1)
    assert "Will retry in 1.0 seconds" in lab.kaggle("datasets", "create", "-p", dataset_folder(tmp_path))
    lab.wait_dataset("fault-set")
    lab.kaggle("datasets", "delete", "alice/fault-set", "--yes")


def test_a_refused_upload_is_silently_left_out(lab: Lab, tmp_path: Path) -> None:
    """The hazard of client 2.2.4; a later one exits with 1 instead."""
    lab.faults.switch_on("upload-refused", times=1)
    lab.kaggle("datasets", "create", "-p", dataset_folder(tmp_path))
    lab.wait_dataset("fault-set")
    assert len(lab.file_names("fault-set")) == 1
    lab.kaggle("datasets", "delete", "alice/fault-set", "--yes")


def test_an_upload_that_has_expired(lab: Lab) -> None:
    lab.faults.switch_on("upload-expired", times=1)
    started = lab.call("StartBlobUpload", {"name": "a", "contentLength": 9})
    with lab.http() as client:
        assert client.put(started["createUrl"], headers={"Content-Range": "bytes */9"}).status_code == 404
        assert client.put(started["createUrl"], headers={"Content-Range": "bytes */9"}).status_code == 308


def test_refused_datasets_tell_it_with_status_200(lab: Lab, tmp_path: Path) -> None:
    lab.faults.switch_on("create-refused", message="no luck today")
    said = lab.kaggle("datasets", "create", "-p", dataset_folder(tmp_path))
    assert "Dataset creation error: no luck today" in said


def test_unknown_tags(lab: Lab, tmp_path: Path) -> None:
    lab.faults.switch_on("tags-refused")
    said = lab.kaggle("datasets", "create", "-p", dataset_folder(tmp_path))
    assert "not valid tags and could not be added to the dataset: ['x-ray']" in said
    lab.wait_dataset("fault-set")
    lab.kaggle("datasets", "delete", "alice/fault-set", "--yes")


def test_a_dataset_can_fail(lab: Lab) -> None:
    lab.faults.switch_on("dataset-failed", times=1)
    lab.create_dataset("failing-set", {"a.txt": b"a"})
    names = {"ownerSlug": "alice", "datasetSlug": "failing-set"}
    assert lab.call("GetDatasetStatus", names)["status"] == "FAILED"


@pytest.mark.parametrize(
    ("fault", "fields", "error"),
    [
        ("push-refused", {}, "Notebook not found"),
        ("session-limit", {}, "Maximum batch CPU session count of 5 reached."),
        ("session-limit", {"enableGpu": True}, "Maximum batch GPU session count of 2 reached."),
        ("quota-exhausted", {"machineShape": "NvidiaTeslaT4"}, "Maximum weekly GPU quota of 30.00 hours"),
    ],
)
def test_refused_pushes_tell_it_with_status_200(lab: Lab, fault: str, fields: dict[str, Any], error: str) -> None:
    lab.faults.switch_on(fault)
    assert error in lab.call("SaveKernel", {**BODY, **fields})["error"]
    assert lab.post("GetKernel", {"userName": "alice", "kernelSlug": "faulty-kernel"}).status_code == 403


def test_the_quota_is_of_accelerators_only(lab: Lab) -> None:
    lab.faults.switch_on("quota-exhausted")
    assert lab.run("without-gpu", "pass")["status"] == "COMPLETE"


def test_sources_can_all_be_lost(lab: Lab) -> None:
    lab.create_dataset("there-it-is", {"a.txt": b"a"})
    lab.faults.switch_on("sources-dropped", times=1)
    answer = lab.push("lost-all", "pass", datasetDataSources=["alice/there-it-is"])
    assert answer["invalidDatasetSources"] == ["alice/there-it-is"]
    lab.wait_kernel("lost-all")  # or its session would take the next test's fault


def test_sessions_can_fail_and_lose_their_output(lab: Lab) -> None:
    lab.faults.switch_on("session-failed", times=1)
    assert "session-failed" in lab.run("never-ran", "print('ran')")["failureMessage"]
    lab.faults.switch_on("output-lost", times=1)
    assert lab.run("lost-output", "open('a.txt', 'w')")["status"] == "COMPLETE"
    assert lab.call("ListKernelFiles", {"userName": "alice", "kernelSlug": "lost-output"})["files"] == []


def test_a_live_log_that_breaks_off(lab: Lab) -> None:
    """The client connects again and shows every line once."""
    lab.faults.switch_on("log-cut", times=1)
    lab.push("cut-log", "import time\nfor n in range(3):\n    print('line', n, flush=True)\n    time.sleep(0.7)")
    said = lab.kaggle("kernels", "logs", "-f", "alice/cut-log")
    assert [said.count(f"line {n}") for n in range(3)] == [1, 1, 1]


def test_the_old_layout(lab: Lab) -> None:
    lab.create_dataset("old-place", {"a.txt": b"a"})
    lab.faults.switch_on("old-layout")
    text = "import os\nprint(os.listdir('/kaggle/input'), os.listdir('/kaggle/input/old-place'))"
    lab.run("old-reader", text, datasetDataSources=["alice/old-place"])
    assert lab.log("old-reader") == "['old-place'] ['a.txt']\n"


def test_switching(tmp_path: Path) -> None:
    """Faults are counted, belong to a method, survive in the state folder, and are checked."""
    store = Store(tmp_path)
    faults = Faults(store)
    faults.switch_on("http-error", method="GetKernel", times=2)
    faults.switch_on("http-error", status=429)
    other = Faults(Store(tmp_path))
    assert [other.take("http-error", "GetKernel") is not None for _ in range(3)] == [True, True, True]
    assert [fault.status for fault in other.active()] == [429]
    other.switch_off("log-cut")
    assert len(faults.active()) == 1
    other.switch_off()
    assert faults.active() == []
    with pytest.raises(InputError, match="there is no fault 'nonsense'; known: http-error, "):
        faults.switch_on("nonsense")
    with pytest.raises(InputError, match=r"unknown key\(s\) colour"):
        faults.switch_on("http-error", colour="red")
    with pytest.raises(InputError, match="flat, nested, html"):
        faults.switch_on("http-error", body="xml")


def test_every_fault_is_taken_somewhere() -> None:
    """A name that no code asks for would promise what it does not do."""
    code = "".join(path.read_text() for path in Path(Faults.switch_on.__code__.co_filename).parent.glob("*.py"))
    assert [name for name in FAULTS if f'take("{name}"' not in code] == []
