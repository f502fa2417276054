"""Reading what Kaggle answers: errors inside a 200, nested reasons, logs in every form, files that come packed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from rsna.errors import RsnaError
from rsna.kaggle import competition_files, kernels
from rsna.kaggle.client import is_passing, is_too_many, patiently, refusals_as_errors, status_of
from rsna.kaggle.datasets import check_answer
from rsna.kaggle.kernels import push_kernel
from rsna.kaggle.logs import parse_log


def refusal(status: int, body: str) -> requests.HTTPError:
    """What the client raises for an answer."""
    response = requests.Response()
    response.status_code = status
    response._content = body.encode()
    return requests.HTTPError("Client Error", response=response)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, '{"code": 400, "message": "bad slug"}', "400 bad slug"),
        (400, '{"error": {"code": 400, "message": "five a day"}}', "400 five a day"),
        (502, "<html>\n<b>gateway</b></html>", "502 <html> <b>gateway</b></html>"),
        (403, '{"message": "denied"}', "403 denied (a typo in the slug"),
        (404, '["odd"]', "404 ['odd']"),
    ],
)
def test_kaggle_s_own_reason_is_shown(status: int, body: str, said: str) -> None:
    with pytest.raises(RsnaError) as caught, refusals_as_errors("push"):
        raise refusal(status, body)
    assert f"Kaggle refused to push: {said}" in str(caught.value)
    assert status_of(caught.value) == status
    assert is_passing(caught.value) == (status == 502)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"status": "error", "error": "slug in use"}, "slug in use"),
        ({"status": "error", "error": ""}, "gives no reason"),
        ({"status": "ok", "error": None, "invalid_tags": ["cats"]}, "dropped tags while it tried to push: cats"),
    ],
)
def test_an_error_inside_a_success_is_one(answer: dict[str, Any], said: str) -> None:
    with pytest.raises(RsnaError, match=said):
        check_answer(SimpleNamespace(**answer), "push")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"error": "Notebook not found"}, "Notebook not found"),
        ({"invalid_model_sources": ["a/b"]}, "without the model source"),
        ({"ref": "/code/alice/other"}, "instead of alice/rsna-train"),
        ({"ref": "/alice/rsna-train", "version_number": 0}, "did not say which version"),
    ],
)
def test_a_push_that_did_something_else_is_an_error(
    answer: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fields = {"error": "", "ref": "/alice/rsna-train", "version_number": 1, "url": ""} | answer
    client = SimpleNamespace(kernels_push=lambda folder, timeout: SimpleNamespace(**fields))
    monkeypatch.setattr(kernels, "connect", lambda: client)
    with pytest.raises(RsnaError, match=said):
        push_kernel(tmp_path, "alice/rsna-train")


def test_only_what_is_worth_it_is_tried_again() -> None:
    answers = iter([refusal(429, "{}"), refusal(503, "{}"), None, refusal(400, "{}"), refusal(503, "{}")])
    calls = []

    def call() -> int:
        calls.append(1)
        error = next(answers)
        with refusals_as_errors("read"):
            if error:
                raise error
        return len(calls)

    assert patiently(call) == 3
    with pytest.raises(RsnaError, match="400"):
        patiently(call)
    with pytest.raises(RsnaError, match="503"):
        patiently(call, retry=is_too_many)
    assert len(calls) == 5


RECORD = {"stream_name": "stdout", "time": 1.5, "data": "a\n"}


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (json.dumps([RECORD, RECORD]), ["a\n", "a\n"]),
        (json.dumps(RECORD), ["a\n"]),
        (f"{json.dumps(RECORD)}\n{json.dumps(RECORD)}\n", ["a\n", "a\n"]),
        ("plain\ntext\n", ["plain\n", "text\n"]),
        ("[\n" + json.dumps(RECORD) + "\n]", ["a\n"]),
        ("", []),
    ],
)
def test_a_log_is_read_in_every_form_that_was_seen(text: str, data: list[str]) -> None:
    assert [record["data"] for record in parse_log(text)] == data


def test_a_table_that_comes_packed_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(competition: str, name: str, place: str) -> None:
        with zipfile.ZipFile(Path(place) / f"{name}.zip", "w") as archive:
            archive.writestr(name, "patient_id\n")

    monkeypatch.setattr(competition_files, "_download_file", send)
    competition_files._fetch("rsna-breast", tmp_path, "train.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["train.csv"]
    assert (tmp_path / "train.csv").read_text() == "patient_id\n"
