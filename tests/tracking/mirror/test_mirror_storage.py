"""Credentials: whose are taken, and that they are shown to nobody."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rsna.errors import InputError
from rsna.tracking import credentials
from rsna.tracking.credentials import CREDENTIALS_FILE, SECRET, find_credentials
from rsna.tracking.storage import crc32c_file, runs_folder, storage_client

pytest.importorskip("google.cloud.storage")


@pytest.fixture(scope="module")
def key() -> dict[str, str]:
    """A service-account key that nobody ever issued."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()
    return {
        "type": "service_account",
        "client_email": "runs@example.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
        "private_key_id": "0" * 40,
        "private_key": pem,
        "project_id": "example",
    }


def test_a_key_is_taken_as_a_file_and_as_its_content(
    key: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key))
    for given in (path, key):
        assert storage_client(given)._credentials.service_account_email == key["client_email"]


def test_an_emulator_is_shown_no_credentials(key: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from google.auth.credentials import AnonymousCredentials

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    assert isinstance(storage_client(key)._credentials, AnonymousCredentials)


@pytest.mark.parametrize("wrong", [{}, {"type": "service_account", "private_key": "hunter2"}, {"private_key": 1}, []])
def test_what_is_no_key_is_not_quoted(wrong: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    path = tmp_path / "key.json"
    path.write_text(json.dumps(wrong))
    with pytest.raises(InputError, match="no service-account key") as caught:
        storage_client(path)
    assert "hunter2" not in str(caught.value)


def test_without_any_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with pytest.raises(InputError, match="gcloud auth application-default login"):
        storage_client()


@pytest.mark.parametrize(
    ("prefix", "shown"),
    [("", "gs://b/mlruns"), ("rsna", "gs://b/rsna/mlruns"), ("/team/rsna/", "gs://b/team/rsna/mlruns")],
)
def test_where_runs_lie(prefix: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    assert str(runs_folder("b", prefix)) == shown


def test_the_checksum_is_that_of_cloud_storage(tmp_path: Path) -> None:
    """The CRC32C of `123456789` is 0xE3069283 (RFC 3720, and every table of CRCs)."""
    path = tmp_path / "x"
    path.write_bytes(b"123456789")
    assert crc32c_file(path) == "4waSgw=="


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str], bool], None]:
    """Make this a kernel with these secrets, and with the credentials data set or without."""

    def get_secret(secrets: dict[str, str], label: str) -> str:
        if label not in secrets:
            raise ConnectionError(f"no secret {label}")
        return secrets[label]

    def make(secrets: dict[str, str], mounted: bool) -> None:
        client = SimpleNamespace(get_secret=lambda label: get_secret(secrets, label))
        monkeypatch.setitem(sys.modules, "kaggle_secrets", SimpleNamespace(UserSecretsClient=lambda: client))
        folder = tmp_path / "input" / "datasets" / "me" / "rsna-credentials"
        folder.mkdir(parents=True)
        if mounted:
            (folder / CREDENTIALS_FILE).write_text("{}")
        find = credentials.find_mounts
        monkeypatch.setattr(credentials, "find_mounts", lambda marker: find(marker, tmp_path / "input"))

    return make


@pytest.mark.parametrize("mounted", [True, False])
def test_a_secret_comes_first(kaggle: Any, mounted: bool) -> None:
    kaggle({SECRET: '{"type": "service_account"}'}, mounted)
    assert find_credentials() == {"type": "service_account"}


@pytest.mark.parametrize("secrets", [{}, {SECRET: "not JSON"}, {SECRET: "[1]"}])
def test_then_a_data_set_and_then_nothing(kaggle: Any, secrets: dict[str, str], tmp_path: Path) -> None:
    kaggle(secrets, True)
    found = find_credentials()
    assert isinstance(found, Path)
    assert found.name == CREDENTIALS_FILE
    found.unlink()
    assert find_credentials() is None


def test_elsewhere_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "find_mounts", lambda _: [])
    assert find_credentials() is None
