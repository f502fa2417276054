"""The one builder of the environment in which the unmodified `kaggle` client talks to the local Kaggle, and only to it.

The client knows no endpoint but `http://localhost`, port 80; as its HTTP proxy the server gets what is sent there. Its
HTTPS proxy is the server as well, which refuses to lead anywhere: a client that turned to the real Kaggle after all
would reach nobody. And it finds no real token: not in the variables, nor in a home that is not the user's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from rsna.errors import InputError
from rsna.io import ensure_dir
from rsna.local_kaggle.connection import Connection

PASSED = re.compile(r"PATH|LANG|LC_\w+|TERM|TZ|SHELL|USER|LOGNAME|VIRTUAL_ENV|PYTHON\w+|COLUMNS|LINES|OMP_NUM_THREADS")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
SECRET = re.compile(
    r"KAGGLE|PROXY|GOOGLE_|GCLOUD|AWS_|AZURE_|NETRC|HF_TOKEN|WANDB_|REQUESTS_CA_BUNDLE|CURL_CA", re.IGNORECASE
)


def client_environment(connection: Connection, state: Path, base: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a client process.

    Args:
        connection: The server's.
        state: Its state folder; the client's home, temporary files and cache get a place in it.
        base: The environment to take harmless variables of; everything else is dropped.

    Raises:
        InputError: Where the server is not on this machine.
    """
    check_loopback(connection.url)
    passed = {name: value for name, value in base.items() if PASSED.fullmatch(name)}
    return passed | client_variables(connection, state)


def client_variables(connection: Connection, state: Path) -> dict[str, str]:
    """The variables that lead a client to the server, and make their folders."""
    check_loopback(connection.url)
    folder = ensure_dir(state / "client").resolve()
    places = {name: ensure_dir(folder / name) for name in ("home", "config", "tmp", "cache")}
    for place in (folder, *places.values()):
        place.chmod(0o700)  # the client refuses a temporary folder that others can read
    proxies = dict.fromkeys((*PROXIES, *map(str.upper, PROXIES)), connection.url)
    return {
        "HOME": str(places["home"]),
        "KAGGLE_CONFIG_DIR": str(places["config"]),
        "TMPDIR": str(places["tmp"]),
        "KAGGLEHUB_CACHE": str(places["cache"]),
        "KAGGLE_API_TOKEN": connection.token,
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        **proxies,
        "no_proxy": "",
        "NO_PROXY": "",
    }


def dropped_variables(connection: Connection, state: Path, base: Mapping[str, str]) -> list[str]:
    """The variables of an environment that a shell for the local Kaggle must not keep: credentials and detours."""
    kept = client_variables(connection, state)
    return sorted(name for name in base if SECRET.search(name) and name not in kept)


def check_loopback(url: str) -> None:
    """Raise `InputError` unless an address is on this machine."""
    parts = urlsplit(url)
    try:
        local = parts.scheme == "http" and ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:  # a name: what it leads to is somebody else's to decide
        local = False
    if not local:
        raise InputError(f"{url} is not on this machine; a rehearsal must not reach another Kaggle")
