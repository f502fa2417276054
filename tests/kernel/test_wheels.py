"""Wheels with the internet off: names restored outside the mount, installed by hash, only what is missing."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import zipfile
from pathlib import Path

import pytest

from rsna.kernel import wheels


def _wheel(folder: Path, name: str = "rsna_probe", version: str = "1.0", value: int = 7) -> dict[str, str]:
    """Write a real, minimal wheel; returns its line of the lock."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VALUE = {value}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {
        p: base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).rstrip(b"=").decode() for p, t in files.items()
    }
    record = "".join(f"{p},sha256={h},{len(files[p])}\n" for p, h in hashes.items()) + f"{info}/RECORD,,\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(inner, text)
    return {
        "name": name,
        "version": version,
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    folder = tmp_path / "input" / "notebooks" / "alice" / "rsna-library"
    folder.mkdir(parents=True)
    rows = [_wheel(folder), {"name": "pip", "version": "1", "file": "pip-1-py3-none-any.whl", "sha256": "0" * 64}]
    (folder / "lock.json").write_text(json.dumps({"wheels": rows}))
    return folder


@pytest.mark.parametrize("suffix", ["", ".tmp"])
def test_what_is_missing_is_installed_by_hash(
    mount: Path, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    wheel = mount / "rsna_probe-1.0-py3-none-any.whl"
    wheel.rename(wheel.with_name(wheel.name + suffix))
    done = wheels.install_missing(wheels.find_wheels(tmp_path / "input"), tmp_path / "work", tmp_path / "site")
    assert [w.name for w in done] == ["rsna_probe"]  # pip is there already, at another version, and is left alone
    assert (tmp_path / "site" / "rsna_probe.py").read_text() == "VALUE = 7\n"
    assert wheels.install_missing(mount, tmp_path / "work", tmp_path / "site") == []


def test_other_bytes_are_refused(mount: Path, tmp_path: Path) -> None:
    _wheel(mount, value=666)
    with pytest.raises(RuntimeError, match=r"(?i)hash"):
        wheels.install_missing(mount, tmp_path / "work", tmp_path / "site")
    assert not (tmp_path / "site" / "rsna_probe.py").exists()


def test_a_file_that_the_lock_names_must_be_there(mount: Path, tmp_path: Path) -> None:
    next(mount.glob("rsna_probe*")).unlink()
    with pytest.raises(RuntimeError, match="not in the folder"):
        wheels.install_missing(mount, tmp_path / "work", tmp_path / "site")


@pytest.mark.parametrize(
    "lock",
    [
        "{",
        "[]",
        '{"wheels": [{}]}',
        '{"wheels": [{"name": "a", "version": "1", "file": "../a.whl", "sha256": "%s"}]}' % ("0" * 64),
        '{"wheels": [{"name": "a", "version": "1", "file": "a.whl", "sha256": "x"}]}',
    ],
)
def test_a_hostile_lock_is_refused(tmp_path: Path, lock: str) -> None:
    (tmp_path / "lock.json").write_text(lock)
    with pytest.raises(RuntimeError, match=r"lock\.json"):
        wheels.read_lock(tmp_path)


def test_no_wheels_mounted_says_what_to_attach(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="rsna-library"):
        wheels.find_wheels(tmp_path)
