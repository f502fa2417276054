"""Kernels as they are stored: found by owner and slug, or by id; their versions, which are their sessions."""

from __future__ import annotations

import re
import sqlite3

from rsna.local_kaggle.protocol import ApiError, Message, denied
from rsna.local_kaggle.store import Store


class KernelRecords:
    """Reads kernels for the calls."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def named(self, owner: str, slug: str) -> sqlite3.Row | None:
        """The kernel of an owner and a slug."""
        return self.store.row("SELECT * FROM kernels WHERE owner = ? AND slug = ?", owner, slug)

    def find(self, body: Message) -> sqlite3.Row:
        """The kernel that a request names by `userName` and `kernelSlug`; `ApiError` 403 without one.

        A slug with the version behind it is no slug: a version is asked for by `versionLabel`.
        """
        row = self.named(body.text("userName"), body.text("kernelSlug"))
        if row is None:
            raise denied("kernels.get")
        return row

    def version(self, kernel: int, number: int = 0) -> sqlite3.Row | None:
        """The session of a version that was pushed, by default of the newest."""
        query = """SELECT * FROM sessions WHERE kernel = ? AND submission IS NULL AND ? IN (0, number)
                   ORDER BY number DESC"""
        return self.store.row(query, kernel, number)

    def wanted(self, body: Message) -> tuple[sqlite3.Row, sqlite3.Row]:
        """The kernel that a request names, and its version of the `versionLabel`, by default the newest.

        Raises:
            ApiError: 403 without the kernel; 404 without the version, or for a label that is not written as `v3`.
        """
        kernel = self.find(body)
        label = body.text("versionLabel")
        match = re.fullmatch(r"v([1-9]\d{0,8})", label)
        version = self.version(kernel["id"], int(match[1]) if match else 0) if match or not label else None
        if version is None:
            raise ApiError(404, "Notebook version not found")
        return kernel, version


def kernel_address(owner: str, slug: str) -> str:
    """Where the real Kaggle would show a kernel."""
    return f"https://www.kaggle.com/code/{owner}/{slug}"
