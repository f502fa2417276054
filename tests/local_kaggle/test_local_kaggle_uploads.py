"""Uploads at the level of the protocol: broken off, resumed, refused."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from kaggle_lab import Lab, wait_for

DATA = bytes(range(256)) * 40


def start(lab: Lab, size: int = len(DATA), name: str = "a.bin") -> dict[str, str]:
    return lab.call("StartBlobUpload", {"type": "DATASET", "name": name, "contentLength": size})


def put(url: str, content: bytes = b"", content_range: str = "") -> httpx.Response:
    headers = {"Content-Range": content_range} if content_range else {}
    with httpx.Client(trust_env=False) as client:
        return client.put(url, content=content, headers=headers)


def stored(lab: Lab, token: str) -> bytes:
    return (lab.state / "uploads" / token).read_bytes()


def test_resume_by_hand(lab: Lab) -> None:
    """An announced part, a question how far it is, the rest: 308 with the range, then 200."""
    upload = start(lab)
    url, size = upload["createUrl"], len(DATA)
    empty = put(url, content_range=f"bytes */{size}")
    assert (empty.status_code, empty.headers.get("range")) == (308, None)
    part = put(url, DATA[:100], f"bytes 0-99/{size}")
    assert (part.status_code, part.headers["range"]) == (308, "bytes=0-99")
    assert put(url, DATA[100:], f"bytes 100-{size - 1}/{size}").status_code == 200
    assert put(url, content_range=f"bytes */{size}").status_code == 200
    assert stored(lab, upload["token"]) == DATA


def test_a_broken_connection_keeps_what_has_arrived(lab: Lab) -> None:
    upload = start(lab)
    address = urlsplit(upload["createUrl"])
    with socket.create_connection((str(address.hostname), address.port or 80)) as connection:
        head = f"PUT {address.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(DATA)}\r\n\r\n"
        connection.sendall(head.encode() + DATA[:1000])
    wait_for(lambda: len(stored(lab, upload["token"])) == 1000)
    state = put(upload["createUrl"], content_range=f"bytes */{len(DATA)}")
    assert (state.status_code, state.headers["range"]) == (308, "bytes=0-999")


def test_a_put_without_range_starts_again(lab: Lab) -> None:
    upload = start(lab)
    put(upload["createUrl"], b"x" * 100, f"bytes 0-99/{len(DATA)}")
    assert put(upload["createUrl"], DATA).status_code == 200
    assert stored(lab, upload["token"]) == DATA


def test_an_empty_file_comes_in_chunks(lab: Lab) -> None:
    """The client sends empty files chunked and without a length."""
    upload = start(lab, 0)
    with httpx.Client(trust_env=False) as client:
        assert client.put(upload["createUrl"], content=iter([b""])).status_code == 200
    assert stored(lab, upload["token"]) == b""


@pytest.mark.parametrize(
    ("content", "content_range", "status"),
    [
        (DATA + b"more", "", 400),
        (b"x", f"bytes 5-5/{len(DATA)}", 400),
        (b"x", "rubbish", 400),
        (b"x", "bytes -1-5/9", 400),
    ],
)
def test_wrong_parts_are_refused(lab: Lab, content: bytes, content_range: str, status: int) -> None:
    assert put(start(lab)["createUrl"], content, content_range).status_code == status


def test_an_unknown_address_is_not_found(lab: Lab) -> None:
    assert put(f"{lab.connection.url}/upload/guessed", b"x").status_code == 404


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "a\x00b", "é" * 200])
def test_file_names_are_checked(lab: Lab, name: str) -> None:
    assert lab.post("StartBlobUpload", {"name": name, "contentLength": 1}).status_code == 400


@pytest.mark.parametrize("size", [-1, "1", 1.5, True])
def test_sizes_are_checked(lab: Lab, size: Any) -> None:
    assert lab.post("StartBlobUpload", {"name": "a", "contentLength": size}).status_code == 400


def test_an_unfinished_upload_is_no_file(lab: Lab) -> None:
    token = start(lab)["token"]
    body = {"ownerSlug": "alice", "slug": "half-a-set", "title": "half a set", "files": [{"token": token}]}
    assert lab.post("CreateDataset", body).status_code == 400


def test_the_client_resumes_after_503(lab: Lab, tmp_path: Path) -> None:
    """The client meets half an upload and a 503, asks how far it got, and sends the rest."""
    (tmp_path / "big.bin").write_bytes(DATA * 100)
    lab.faults.switch_on("upload-cut", times=1)
    metadata = '{"title": "cut upload", "id": "alice/cut-upload", "licenses": [{"name": "CC0-1.0"}]}'
    (tmp_path / "dataset-metadata.json").write_text(metadata)
    said = lab.kaggle("datasets", "create", "-p", tmp_path)
    assert "Will resume upload" in said
    lab.wait_dataset("cut-upload")
    lab.kaggle("datasets", "download", "alice/cut-upload", "-f", "big.bin", "-p", tmp_path / "back")
    assert (tmp_path / "back" / "big.bin").read_bytes() == DATA * 100


def test_a_cut_download_is_resumed(lab: Lab, tmp_path: Path) -> None:
    lab.create_dataset("cut-download", {"big.bin": DATA * 100})
    lab.faults.switch_on("download-cut", times=1)
    said = lab.kaggle("datasets", "download", "alice/cut-download", "-f", "big.bin", "-p", tmp_path)
    assert "Retry 1/5: Resuming from" in said
    assert (tmp_path / "big.bin").read_bytes() == DATA * 100
