"""Wheels with the internet off: names restored outside the mount, installed by hash, only what is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tiny_wheels import make_wheel

from rsna.kernel import wheels


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    folder = tmp_path / "input" / "notebooks" / "alice" / "rsna-library"
    folder.mkdir(parents=True)
    rows = [make_wheel(folder), {"name": "pip", "version": "1", "file": "pip-1-py3-none-any.whl", "sha256": "0" * 64}]
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
    assert [w.name for w in done] == ["rsna-probe"]  # pip is there already, at another version, and is left alone
    assert (tmp_path / "site" / "rsna_probe.py").read_text() == "VALUE = 7\n"
    assert wheels.install_missing(mount, tmp_path / "work", tmp_path / "site") == []


def test_other_bytes_are_refused(mount: Path, tmp_path: Path) -> None:
    make_wheel(mount, value=666)
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
        '{"wheels": [{"name": "a", "version": "1", "file": 7, "sha256": "%s"}]}' % ("0" * 64),
        '{"wheels": [{"name": "a", "version": "1 --index-url=http://x", "file": "a.whl", "sha256": "%s"}]}'
        % ("0" * 64),
        '{"wheels": [{"name": "Torch", "version": "1", "file": "a.whl", "sha256": "%s"}]}' % ("0" * 64),
    ],
)
def test_a_hostile_lock_is_refused(tmp_path: Path, lock: str) -> None:
    (tmp_path / "lock.json").write_text(lock)
    with pytest.raises(RuntimeError, match=r"lock\.json"):
        wheels.read_lock(tmp_path)


def test_a_package_that_is_too_old_counts_as_missing(mount: Path, tmp_path: Path) -> None:
    lock = json.loads((mount / "lock.json").read_text())
    lock["wheels"][1]["requirement"] = "pip>=1"
    (mount / "lock.json").write_text(json.dumps(lock))
    assert [wheel.name for wheel in wheels.missing_wheels(wheels.read_lock(mount))] == ["rsna-probe"]
    lock["wheels"][1]["requirement"] = "pip>=9999"
    (mount / "lock.json").write_text(json.dumps(lock))
    assert [wheel.name for wheel in wheels.missing_wheels(wheels.read_lock(mount))] == ["rsna-probe", "pip"]


def test_wheels_of_another_python_are_refused(mount: Path, tmp_path: Path) -> None:
    lock = json.loads((mount / "lock.json").read_text())
    (mount / "lock.json").write_text(json.dumps(lock | {"python": "3.99"}))
    with pytest.raises(RuntimeError, match=r"are for Python 3\.99, .* run the kernel rsna-library again"):
        wheels.install_missing(mount, tmp_path / "work", tmp_path / "site")


def test_a_folder_is_verified_before_it_is_pushed(mount: Path) -> None:
    assert wheels.verify_wheels(mount) == ["pip-1-py3-none-any.whl is missing"]
    make_wheel(mount, value=666)
    assert "rsna_probe-1.0-py3-none-any.whl has other bytes than were locked" in wheels.verify_wheels(mount)


def test_no_wheels_mounted_says_what_to_attach(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="rsna-library"):
        wheels.find_wheels(tmp_path)
