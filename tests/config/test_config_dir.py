"""The configuration tree is found in a wheel, beside an editable install, and in a read-only mount on the path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import rsna
from rsna.config import config_dir

ROOT = Path(rsna.__file__).resolve().parents[1]
CODE = """
from rsna.config import PrepareConfig, config_dir
from rsna.config.compose import compose
compose(PrepareConfig, "prepare", ["data=breast_256"])
print(config_dir())
"""


def _found_below(folder: Path) -> str:
    """What a fresh interpreter says, with only this copy of the package on its path."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, cwd=folder.parent, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.so"))


@pytest.mark.parametrize("place", ["conf", "rsna/conf"])
def test_a_mount_on_the_path(tmp_path: Path, place: str) -> None:
    mount = tmp_path / "input"
    _copy(ROOT / "rsna", mount / "rsna")
    _copy(config_dir(), mount / place)
    for folder in (mount, mount / place):
        folder.chmod(0o555)
    try:
        assert _found_below(mount) == str(mount / place)
    finally:
        for folder in (mount, mount / place):
            folder.chmod(0o755)


@pytest.mark.slow
def test_a_wheel_holds_the_whole_tree(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    _copy(ROOT / "rsna", source / "rsna")
    _copy(ROOT / "conf", source / "conf")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)],
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(next(tmp_path.glob("rsna-*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if name.startswith("rsna/conf/")}
        data = {name for name in wheel.namelist() if name.endswith(".json")}
    assert packed >= {f"rsna/conf/{p.relative_to(ROOT / 'conf').as_posix()}" for p in (ROOT / "conf").rglob("*.yaml")}
    assert data >= {p.relative_to(ROOT).as_posix() for p in (ROOT / "rsna").rglob("*.json")}
