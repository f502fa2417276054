"""The isolated environment: it leads to the local server, nowhere else, and holds no real credential."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from kaggle_lab import KAGGLE, Lab

from rsna.errors import InputError
from rsna.local_kaggle.client_env import check_loopback, client_environment, client_variables, dropped_variables
from rsna.local_kaggle.connection import Connection

CONNECTION = Connection(8765, "local-kaggle-token", "alice", 1, False)
REAL = {
    "PATH": "/usr/bin",
    "LANG": "C.UTF-8",
    "HOME": "/home/s3cret",
    "KAGGLE_API_TOKEN": "KGAT_s3cret",
    "KAGGLE_USERNAME": "s3cret",
    "KAGGLE_KEY": "s3cret",
    "KAGGLE_CONFIG_DIR": "/home/s3cret/.kaggle",
    "KAGGLE_API_V1_TOKEN": "/home/s3cret/token",
    "GOOGLE_APPLICATION_CREDENTIALS": "/home/s3cret/key.json",
    "AWS_SECRET_ACCESS_KEY": "s3cret",
    "HTTPS_PROXY": "http://proxy.example:3128",
    "ftp_proxy": "http://proxy.example:3128",
    "no_proxy": "localhost,127.0.0.1",
    "NO_PROXY": "localhost,127.0.0.1",
    "NETRC": "/home/s3cret/.netrc",
    "REQUESTS_CA_BUNDLE": "/ca.pem",
}


def test_nothing_real_is_passed_on(tmp_path: Path) -> None:
    env = client_environment(CONNECTION, tmp_path, REAL)
    assert env["PATH"] == "/usr/bin"
    assert not [name for name, value in env.items() if "s3cret" in value or "proxy.example" in value]
    assert {name: value for name, value in env.items() if "proxy" in name.lower()} == {
        **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), CONNECTION.url),
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), CONNECTION.url),
        "no_proxy": "",
        "NO_PROXY": "",
    }
    assert env["KAGGLE_API_ENVIRONMENT"] == "LOCALHOST"
    assert env["KAGGLE_API_TOKEN"] == "local-kaggle-token"
    assert "KAGGLE_KEY" not in env


def test_its_folders_are_private_and_inside_the_state(tmp_path: Path) -> None:
    env = client_environment(CONNECTION, tmp_path, REAL)
    for name in ("HOME", "KAGGLE_CONFIG_DIR", "TMPDIR", "KAGGLEHUB_CACHE"):
        assert tmp_path in Path(env[name]).parents
        assert stat.S_IMODE(Path(env[name]).stat().st_mode) == 0o700


def test_a_shell_drops_what_it_must_not_keep(tmp_path: Path) -> None:
    dropped = dropped_variables(CONNECTION, tmp_path, REAL)
    kept = {"PATH", "LANG", *client_variables(CONNECTION, tmp_path)}
    assert set(dropped) == set(REAL) - kept


@pytest.mark.parametrize(
    "url",
    [
        "https://api.kaggle.com",
        "http://api.kaggle.com",
        "http://10.0.0.1:8765",
        "http://localhost:8765",
        "http://0.0.0.0:8765",
        "https://127.0.0.1:8765",
        "http://127.0.0.1.evil.example",
        "",
    ],
)
def test_an_endpoint_elsewhere_is_refused(tmp_path: Path, url: str) -> None:
    @dataclass(frozen=True)
    class Elsewhere(Connection):
        @property
        def url(self) -> str:
            return url

    with pytest.raises(InputError, match="not on this machine"):
        client_environment(Elsewhere(1, "t", "u", 1, False), tmp_path, {})


@pytest.mark.parametrize("url", ["http://127.0.0.1:8765", "http://127.1.2.3", "http://[::1]:80"])
def test_loopback_addresses(url: str) -> None:
    check_loopback(url)


def test_a_legacy_key_works_as_well(lab: Lab) -> None:
    """User name and key in the place of the token, as the client's own tests have it."""
    env = client_environment(lab.connection, lab.state, os.environ)
    env |= {"KAGGLE_USERNAME": "alice", "KAGGLE_KEY": env.pop("KAGGLE_API_TOKEN")}
    done = subprocess.run([KAGGLE, "datasets", "list"], env=env, capture_output=True, text=True, timeout=120)
    assert "No datasets found" in done.stdout


def test_the_server_shares_no_code_with_the_client() -> None:
    code = "import sys, rsna.local_kaggle.server; print({name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert "uvicorn" in done.stdout
    assert "'kaggle'" not in done.stdout
    assert "'kagglesdk'" not in done.stdout


def test_the_client_cannot_reach_the_real_kaggle(lab: Lab) -> None:
    """Even in its production mode it ends at the local server, which makes no tunnel."""
    env = client_environment(lab.connection, lab.state, os.environ)
    del env["KAGGLE_API_ENVIRONMENT"]
    done = subprocess.run([KAGGLE, "datasets", "list"], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "Tunnel connection failed" in done.stdout + done.stderr
