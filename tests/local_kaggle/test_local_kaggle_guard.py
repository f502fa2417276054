"""Who is let in: only programs on this machine that have the token."""

from __future__ import annotations

import base64
import json
import socket

import pytest
from kaggle_lab import Lab

HELLO = "/api/v1/api.v1.DiagnosticsService/Hello"


def ask(
    lab: Lab, target: str, host: str = "localhost", method: str = "POST", token: str | None = None, more: str = ""
) -> int:
    """Send a request by hand, as no library would; returns the status."""
    with socket.create_connection(("127.0.0.1", lab.connection.port), timeout=10) as connection:
        given = lab.connection.token if token is None else token
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Content-Length: 2", f"Authorization: Bearer {given}"]
        lines += [more] if more else []
        connection.sendall("\r\n".join([*lines, "Connection: close", "", "{}"]).encode())
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    return int(answer.split()[1])


def test_the_door_is_open_for_the_token(lab: Lab) -> None:
    assert ask(lab, HELLO) == 200
    with lab.http() as client:
        assert client.post(HELLO).json() == {"userName": "alice"}


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_names_of_this_machine(lab: Lab, host: str) -> None:
    assert ask(lab, HELLO, host) == 200
    assert ask(lab, HELLO, f"{host.split(':80')[0]}:{lab.connection.port}") == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "localhost:81", "", "127.0.0.1.evil.example"]
)
def test_other_hosts_are_refused(lab: Lab, host: str) -> None:
    """A name of somebody else's that leads to 127.0.0.1 is how a web page gets here."""
    assert ask(lab, HELLO, host) == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost", "null"])
def test_any_origin_is_refused(lab: Lab, origin: str) -> None:
    assert ask(lab, HELLO, more=f"Origin: {origin}") == 403


@pytest.mark.parametrize("token", ["", "wrong", "KGAT_a_real_looking_token"])
def test_a_wrong_token_is_refused(lab: Lab, token: str) -> None:
    assert ask(lab, HELLO, token=token) == 401


def test_a_legacy_key_is_the_token(lab: Lab) -> None:
    def basic(password: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"alice:{password}".encode()).decode()}

    with lab.http(**basic(lab.connection.token)) as client:
        assert client.post(HELLO).status_code == 200
    with lab.http(**basic("wrong")) as client:
        assert client.post(HELLO).status_code == 401
    with lab.http(Authorization="Basic !!!") as client:
        assert client.post(HELLO).status_code == 401


def test_introspection_knows_one_token(lab: Lab) -> None:
    """The client asks this first, and takes 404 for `not valid`."""
    path = "/api/v1/security.OAuthService/IntrospectToken"
    with lab.http(Authorization="") as client:
        answer = client.post(path, json={"token": lab.connection.token})
        assert answer.json() == {"active": True, "username": "alice", "userId": 1}
        assert client.post(path, json={"token": "KGAT_other"}).status_code == 404


def test_the_proxy_leads_to_itself(lab: Lab) -> None:
    assert ask(lab, f"http://localhost{HELLO}") == 200


@pytest.mark.parametrize(
    "target",
    [
        "http://evil.example/",
        "http://localhost:22/",
        "http://localhost@evil.example/",
        "https://localhost/",
        "ftp://localhost/",
        "http://169.254.169.254/latest",
    ],
)
def test_the_proxy_leads_nowhere_else(lab: Lab, target: str) -> None:
    assert ask(lab, target) == 403


def test_there_is_no_tunnel(lab: Lab) -> None:
    assert ask(lab, "api.kaggle.com:443", method="CONNECT") in (400, 403)


def test_addresses_of_files_cannot_be_made_up(lab: Lab) -> None:
    lab.create_dataset("signed-link", {"a.txt": b"a"})
    body = {"ownerSlug": "alice", "datasetSlug": "signed-link", "fileName": "a.txt"}
    address = lab.post("DownloadDataset", body).headers["location"]
    with lab.http(Authorization="") as client:
        assert client.get(address).text == "a"
        signature = address.split("/files/")[1].split("/")[0]
        for path in ("/etc/hostname", f"/{lab.state}/account.json"):
            assert client.get(f"/files/{signature}{path}").status_code == 404
            assert client.get(f"/files/{'0' * 64}{path}").status_code == 404


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b'"x"', b"[" * 100_000])
def test_bodies_that_are_no_message(lab: Lab, body: bytes) -> None:
    with lab.http() as client:
        response = client.post(HELLO, content=body)
    assert response.status_code == 400
    assert json.loads(response.text)["code"] == 400


def test_what_is_not_served_says_so(lab: Lab) -> None:
    with lab.http() as client:
        response = client.post("/api/v1/models.ModelApiService/CreateModel", json={})
    assert response.status_code == 404
    assert "publish the bundle as a data set" in response.json()["message"]


def test_the_state_is_for_its_owner_alone(lab: Lab) -> None:
    assert lab.state.stat().st_mode & 0o077 == 0
    for name in ("account.json", "server.json"):
        assert (lab.state / name).stat().st_mode & 0o077 == 0
