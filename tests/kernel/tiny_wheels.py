"""Real, minimal wheels and source archives, and a pip that finds only them."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

SETUP = "from setuptools import setup\nsetup(name={name!r}, version={version!r}, py_modules=[{name!r}]{more})\n"
EXTENSION = ", ext_modules=[__import__('setuptools').Extension('_{name}', ['_{name}.c'])]"


def make_wheel(
    folder: Path,
    name: str = "rsna_probe",
    version: str = "1.0",
    value: int = 7,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    python: str = "",
) -> dict[str, str]:
    """Write a wheel with one module that holds `VALUE`; returns its line of a lock."""
    info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Python: {python}"] * bool(python) + [f"Requires-Dist: {text}" for text in requires]
    files = {
        f"{name}.py": f"VALUE = {value}\n",
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    hashes = {
        p: base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).rstrip(b"=").decode() for p, t in files.items()
    }
    record = "".join(f"{p},sha256={h},{len(files[p])}\n" for p, h in hashes.items()) + f"{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(inner, text)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"name": name.replace("_", "-"), "version": version, "file": path.name, "sha256": digest}


def make_sdist(folder: Path, name: str, version: str = "1.0", pure: bool = True) -> Path:
    """Write a source archive with one module, and an extension in C unless it is to be pure."""
    more = "" if pure else EXTENSION.format(name=name)
    files = {
        "setup.py": SETUP.format(name=name, version=version, more=more),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{name}.py": "VALUE = 8\n",
        f"_{name}.c": "int x;\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for inner, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{inner}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def only_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let pip find what is in a folder and nothing else; builds take the tools that are installed."""
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "false")  # "no" to the isolation; pip reads it so
    return folder
