"""What the tests of pushed and pulled runs share: a kernel that writes runs, and a bucket that lies."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import struct
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def picture(red: int = 255, green: int = 0, blue: int = 255, size: int = 64) -> bytes:
    """A PNG of one colour."""
    rows = (b"\0" + bytes((red, green, blue)) * size) * size
    chunks = (
        (b"IHDR", struct.pack(">2I5B", size, size, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


class Kernel:
    """A kernel's MLflow, with the file store `mlruns` in its working folder."""

    def __init__(self, working: Path) -> None:
        from mlflow import MlflowClient

        self.store = working / "mlruns"
        self.client = MlflowClient(f"file:{self.store}")

    def run(self, name: str, experiment: str = "breast", epochs: int = 2, end: str = "FINISHED") -> str:
        """Record a run, and return its id."""
        found = self.client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else self.client.create_experiment(experiment)
        run_id = str(self.client.create_run(number, run_name=name).info.run_id)
        self.client.log_param(run_id, "model.backbone", "resnet18")
        self.client.set_tag(run_id, "kernel", "rsna-train")
        for epoch in range(epochs):
            self.epoch(run_id, epoch)
        folder = self.folder(run_id) / "artifacts" / "plots"
        folder.mkdir(parents=True)
        (folder / "loss.png").write_bytes(picture())
        if end:
            self.client.set_terminated(run_id, end)
        return run_id

    def epoch(self, run_id: str, epoch: int) -> None:
        self.client.log_metric(run_id, "train/loss", 1 / (epoch + 1), step=epoch)

    def folder(self, run_id: str) -> Path:
        return next(self.store.glob(f"*/{run_id}"))


def write_while_copying(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file grow whenever somebody copies it."""
    copy = shutil.copyfile

    def copy_slowly(source: Path, *rest: Any, **options: Any) -> Any:
        done = copy(source, *rest, **options)
        if source == path:
            path.write_bytes(path.read_bytes() + b" more")
        return done

    monkeypatch.setattr(shutil, "copyfile", copy_slowly)


class FakeBucket:
    """A bucket that lies: it lists what it is told to, and serves what it is told to."""

    def __init__(self) -> None:
        self.listing: list[dict[str, str]] = []
        self.contents: dict[str, bytes] = {}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                name = unquote(url.path.rpartition("/o/")[2])
                media = parse_qs(url.query).get("alt") == ["media"]
                body = fake.contents.get(name, b"") if media else json.dumps({"items": fake.listing}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def put(self, name: str, content: bytes, listed: bytes | None = None, size: int | None = None) -> None:
        """Serve `content`, under the checksum of `listed` and with the size that is claimed."""
        import google_crc32c

        shown = content if listed is None else listed
        crc32c = base64.b64encode(google_crc32c.value(shown).to_bytes(4, "big")).decode()
        self.contents[name] = content
        self.listing.append({"name": name, "size": str(len(shown) if size is None else size), "crc32c": crc32c})
