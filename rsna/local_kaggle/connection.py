"""How others find the server of a state folder: its port, token and process, in a file, and a lock while it runs."""

from __future__ import annotations

import contextlib
import fcntl
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rsna.config import dump, load
from rsna.errors import InputError
from rsna.io import ensure_dir, read_json, write_json

DEFAULT_USER = "kaggler"


@dataclass(frozen=True)
class Connection:
    """What a client needs to know.

    Attributes:
        port: On 127.0.0.1.
        token: The API token; random, and the same over restarts.
        user: Whose account it is.
        pid: The server's process.
        sandboxed: Whether notebooks run in a sandbox.
    """

    port: int
    token: str
    user: str
    pid: int
    sandboxed: bool

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Account:
    """What is settled once for a state folder: the one user, the API token, and the key that signs file addresses."""

    user: str
    token: str
    link_key: str


def open_account(state: Path, user: str) -> Account:
    """The account of a state folder, made now if it has none.

    Args:
        state: The folder.
        user: The name it is to have; '' for the one it has, or `DEFAULT_USER`.

    Raises:
        InputError: For another user than the folder's own, or a name that Kaggle would not take.
    """
    path = state / "account.json"
    if not path.exists():
        account = Account(user or DEFAULT_USER, f"local-kaggle-{secrets.token_urlsafe(32)}", secrets.token_hex(32))
        if not re.fullmatch(r"[a-z0-9]{3,50}", account.user):
            raise InputError(f"{user!r} is no user name; use 3 to 50 lower-case letters and digits")
        write_json(path, dump(account))
        path.chmod(0o600)
    account = load(Account, read_json(path), str(path))
    if user not in ("", account.user):
        raise InputError(f"{state} belongs to the user {account.user}, not {user}; use another --state")
    return account


def write_connection(state: Path, connection: Connection) -> None:
    """Announce a running server."""
    write_json(state / "server.json", dump(connection))
    (state / "server.json").chmod(0o600)


def find_server(state: Path) -> Connection | None:
    """The running server of a state folder, or None; what a killed one has left does not count."""
    path = state / "server.json"
    if not path.exists() or not _is_locked(state):
        return None
    return load(Connection, read_json(path), str(path))


@contextlib.contextmanager
def locked(state: Path) -> Iterator[None]:
    """Hold a state folder for one server; `InputError` where another holds it. The lock ends with the process."""
    with (ensure_dir(state) / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"a local Kaggle is already running on {state}; stop it or use another --state") from error
        (state / "server.json").unlink(missing_ok=True)  # of a server that was killed
        try:
            yield
        finally:
            (state / "server.json").unlink(missing_ok=True)


def _is_locked(state: Path) -> bool:
    with (state / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False
