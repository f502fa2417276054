"""Addresses of files that nobody can guess: the client fetches them without a token, as it does from Cloud Storage."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from urllib.parse import quote

from rsna.local_kaggle.protocol import ApiError


class Links:
    """Signed addresses of files on this machine; they stay valid over a restart."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def address(self, base: str, path: Path) -> str:
        """The address of a file. It ends with the file's name, which is what the client calls its download."""
        return f"{base}/files/{self._sign(str(path))}{quote(str(path))}"

    def resolve(self, signature: str, path: str) -> Path:
        """The file of an address, or `ApiError` 404 where the address was not made here or the file has gone."""
        file = Path("/" + path.lstrip("/"))
        if not hmac.compare_digest(signature, self._sign(str(file))) or not file.is_file():
            raise ApiError(404, "Not found")
        return file

    def _sign(self, path: str) -> str:
        return hmac.new(self.key, path.encode("utf-8"), hashlib.sha256).hexdigest()
