"""A folder of a Cloud Storage bucket: list it, and move many files to and from it, each verified by its checksum."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsna.errors import InputError, RsnaError
from rsna.io import read_json
from rsna.tracking.store import first_line

EMULATOR = "STORAGE_EMULATOR_HOST"  # read by google-cloud-storage itself
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
WORKERS = 4  # more of them overrun the emulator, which then takes seconds to answer
TIMEOUT_S = 60.0  # of one request
RETRY_S = 120.0  # of one transfer with its retries


@dataclass(frozen=True)
class RemoteFile:
    """A file in a bucket.

    Attributes:
        size: Bytes.
        crc32c: Checksum as Cloud Storage writes it, base64.
    """

    size: int
    crc32c: str


class BucketFolder:
    """The files below `gs://bucket/prefix`, by their path relative to it. Deletes nothing.

    Args:
        client: What `storage_client` returns.
        bucket: The bucket's name.
        prefix: The folder inside it; empty for the whole bucket.
    """

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = prefix.strip("/")
        self._client = client

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.prefix}".rstrip("/")

    def list(self) -> dict[str, RemoteFile]:
        """Every file with size and checksum, in one request per 1000.

        Raises:
            InputError: There is no such bucket.
            RsnaError: It cannot be listed.
        """
        root = f"{self.prefix}/" if self.prefix else ""
        fields = "items(name,size,crc32c),nextPageToken"
        with _failures(f"list {self}", self.bucket):
            blobs = self._client.list_blobs(self.bucket, prefix=root, fields=fields, timeout=TIMEOUT_S, retry=_retry())
            return {blob.name[len(root) :]: RemoteFile(int(blob.size), str(blob.crc32c)) for blob in blobs}

    def upload(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Send files, several at a time.

        Args:
            files: Local file by name in the folder. Nobody may write to it meanwhile.

        Returns:
            What went wrong, by name; empty when all arrived whole.
        """
        from google.cloud.storage import transfer_manager

        blobs = {name: self._blob(name) for name in files}
        results = transfer_manager.upload_many(
            [(str(path), blobs[name]) for name, path in files.items()],
            upload_kwargs={"timeout": TIMEOUT_S, "retry": _retry()},
            worker_type=transfer_manager.THREAD,
            max_workers=WORKERS,
        )
        return _problems(results, {name: (path, str(blobs[name].crc32c)) for name, path in files.items()})

    def download(self, files: Mapping[str, Path], remote: Mapping[str, RemoteFile]) -> dict[str, str]:
        """Fetch files, several at a time, in the state that was listed.

        Args:
            files: Where to write each, by name in the folder.
            remote: What `list` returned.

        Returns:
            What went wrong, by name; its local file is then worthless. Empty when all arrived whole.
        """
        from google.cloud.storage import transfer_manager

        results = transfer_manager.download_many(
            [(self._blob(name), str(path)) for name, path in files.items()],
            download_kwargs={"timeout": TIMEOUT_S, "retry": _retry()},
            worker_type=transfer_manager.THREAD,
            max_workers=WORKERS,
        )
        return _problems(results, {name: (path, remote[name].crc32c) for name, path in files.items()})

    def _blob(self, name: str) -> Any:
        return self._client.bucket(self.bucket).blob(f"{self.prefix}/{name}" if self.prefix else name)


def runs_folder(bucket: str, prefix: str, credentials: Path | Mapping[str, Any] | None = None) -> BucketFolder:
    """`gs://bucket/prefix/mlruns`; arguments and errors as of `storage_client`."""
    return BucketFolder(storage_client(credentials), bucket, "/".join([*filter(None, prefix.split("/")), "mlruns"]))


def storage_client(credentials: Path | Mapping[str, Any] | None = None) -> Any:
    """A client of Cloud Storage, or of the emulator that `STORAGE_EMULATOR_HOST` names, which is shown no credentials.

    Args:
        credentials: A service-account key, as a JSON file or as its content; None for the credentials of this machine
            (`gcloud auth application-default login`).

    Raises:
        InputError: google-cloud-storage is not installed; there are no credentials, or they are no such key.
    """
    try:
        from google.auth.exceptions import DefaultCredentialsError
        from google.cloud import storage
    except ImportError as error:
        raise InputError("Cloud Storage needs a package: pip install google-cloud-storage") from error
    if os.environ.get(EMULATOR):
        return storage.Client(project=None)
    try:
        return storage.Client(project=None, credentials=None if credentials is None else _read_key(credentials))
    except DefaultCredentialsError as error:
        raise InputError(
            "no credentials for Cloud Storage: run `gcloud auth application-default login`, or give a key file"
        ) from error


def _read_key(credentials: Path | Mapping[str, Any]) -> Any:
    from google.oauth2 import service_account

    key = read_json(credentials) if isinstance(credentials, Path) else credentials
    try:
        return service_account.Credentials.from_service_account_info(key, scopes=[SCOPE])
    except (ValueError, TypeError, AttributeError) as error:  # its text may quote the key, so it is not shown
        source = credentials if isinstance(credentials, Path) else "what was given"
        raise InputError(f"{source} is no service-account key; make one in the Cloud console") from error


def crc32c_file(path: Path) -> str:
    """A file's CRC32C as Cloud Storage writes it, base64."""
    import google_crc32c

    checksum = google_crc32c.Checksum()
    with path.open("rb") as file:
        for _ in checksum.consume(file, 1 << 20):
            pass
    return base64.b64encode(checksum.digest()).decode("ascii")


def _problems(results: list[Any], expected: Mapping[str, tuple[Path, str]]) -> dict[str, str]:
    """One line for each transfer that failed, or whose local file has another checksum than the bucket's."""
    found = {}
    for result, (name, (path, crc32c)) in zip(results, expected.items(), strict=True):
        if isinstance(result, Exception):
            found[name] = first_line(result)
        elif crc32c_file(path) != crc32c:
            found[name] = "the bucket has other bytes"
    return found


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(RETRY_S)


@contextlib.contextmanager
def _failures(what: str, bucket: str) -> Iterator[None]:
    """Turn what google-cloud-storage raises into one line."""
    from google.api_core.exceptions import GoogleAPIError, NotFound
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except NotFound as error:
        raise InputError(f"there is no bucket {bucket}; check the setting, or make it") from error
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise RsnaError(f"cannot {what}: {first_line(error)}") from error
