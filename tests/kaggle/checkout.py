"""A checkout of this project in which tests type `rsna …`, with the local Kaggle for the real one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaggle_lab import Lab

from rsna.local_kaggle.client_env import client_environment

ROOT = Path(__file__).resolve().parents[2]
RSNA = Path(sys.executable).with_name("rsna")
PARTS = ("rsna", "conf", "kaggle_kernels", "setup.py", "pyproject.toml", "README.md", ".gitignore")
COMPETITION = "rsna-breast"


def git(root: Path, *arguments: str) -> None:
    """Run git in a folder, as somebody."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


def copy_project(root: Path) -> Path:
    """Make a git checkout of the code as it is here, with one commit."""
    root.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "kernel-metadata.json")
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, root / part, **({"ignore": ignored} if (ROOT / part).is_dir() else {}))
    (root / "offline_wheels").mkdir()
    shutil.copy(ROOT / "offline_wheels" / "requirements.txt", root / "offline_wheels")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    return root


@dataclass
class Checkout:
    """A checkout and the Kaggle it talks to."""

    root: Path
    lab: Lab
    storage: str = ""  # the address of an emulator of buckets

    @property
    def environment(self) -> dict[str, str]:
        """In which our commands run."""
        own = client_environment(self.lab.connection, self.lab.state, os.environ)
        local = {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1", "STORAGE_EMULATOR_HOST": self.storage}
        return own | (local if self.storage else {})

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start `rsna` here, as somebody who has typed it."""
        return subprocess.Popen(
            [str(RSNA), *map(str, arguments)],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def rsna(self, *arguments: str | Path, status: int = 0) -> str:
        """Run `rsna`, which must exit with `status`; returns what it says."""
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == status, said
        return said

    def kaggle(self, *arguments: str | Path) -> str:
        """Run the unmodified `kaggle`, which must succeed; paths are as seen from here."""
        return self.lab.kaggle(*(self.root / part if isinstance(part, Path) else part for part in arguments))

    def commit(self, path: str, text: str) -> None:
        """Change a file and commit it."""
        (self.root / path).write_text(text)
        git(self.root, "add", "-f", path)
        git(self.root, "commit", "-qm", "change")

    def write_cells(self, kind: str, *cells: str) -> None:
        """Replace what the notebook of a kernel does once it has the code."""
        path = self.root / "kaggle_kernels" / kind / f"{kind}.ipynb"
        notebook = json.loads(path.read_text())
        first = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
        others = [{**first, "id": f"test-{number}", "source": text} for number, text in enumerate(cells)]
        path.write_text(json.dumps({**notebook, "cells": [first, *others]}))

    def write_metadata(self, kind: str, **changes: Any) -> None:
        """Change the template of a kernel's metadata."""
        path = self.root / "kaggle_kernels" / kind / "kernel-metadata.template.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def output(self, slug: str, version: int) -> Path:
        """Where the output of a run lies here."""
        return self.root / ".rsna" / "kernels" / slug / f"v{version}"

    def kernel_versions(self, slug: str) -> int:
        """How many versions of a kernel there are."""
        response = self.lab.post("GetKernel", {"userName": "alice", "kernelSlug": slug})
        return response.json()["metadata"]["currentVersionNumber"] if response.status_code == 200 else 0
