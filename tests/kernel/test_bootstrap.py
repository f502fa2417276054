"""The first cell of every notebook: finds the code under any layout, and refuses what was not pushed."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from pathlib import Path

import pytest

from rsna.kernel import bootstrap

LAYOUTS = ("rsna-code", "datasets/alice/rsna-code", "datasets/alice/rsna-code/rsna-code")


@pytest.fixture(autouse=True)
def _keep_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def _push(folder: Path, text: str = "x = 1\n") -> str:
    """Lay out a pushed code data set; returns its content hash."""
    (folder / "rsna").mkdir(parents=True)
    (folder / "rsna" / "__init__.py").write_text(text)
    files = {"rsna/__init__.py": hashlib.sha256(text.encode()).hexdigest()}
    build = {"commit": "abc", "dirty": False, "content_hash": bootstrap.content_hash(files), "files": files}
    (folder / "_build.json").write_text(json.dumps(build))
    return build["content_hash"]


def test_it_needs_the_standard_library_alone() -> None:
    tree = ast.parse(Path(bootstrap.__file__).read_text())
    names = [
        n.names[0].name if isinstance(n, ast.Import) else n.module
        for n in ast.walk(tree)
        if "Import" in type(n).__name__
    ]
    assert {str(name).split(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize("layout", LAYOUTS)
def test_code_is_found_under_any_mount_layout(tmp_path: Path, layout: str) -> None:
    digest = _push(tmp_path / layout)
    (tmp_path / "competitions" / "x" / "train_images" / "1").mkdir(parents=True)
    folder, build = bootstrap.load_code(digest, tmp_path)
    assert build["commit"] == "abc"
    assert folder == tmp_path / layout
    assert sys.path[0] == str(tmp_path / layout)


def test_of_several_mounts_the_expected_one_is_taken(tmp_path: Path) -> None:
    _push(tmp_path / "a")
    digest = _push(tmp_path / "b", "x = 2\n")
    bootstrap.load_code(digest, tmp_path)
    assert sys.path[0] == str(tmp_path / "b")


def test_missing_and_other_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no code below"):
        bootstrap.load_code("", tmp_path)
    _push(tmp_path / "a")
    with pytest.raises(RuntimeError, match="pushed for 000000000000"):
        bootstrap.load_code("0" * 64, tmp_path)


@pytest.mark.parametrize("damage", ["altered", "missing", "escape", "hash"])
def test_altered_code_is_refused(tmp_path: Path, damage: str) -> None:
    _push(tmp_path / "a")
    file, manifest = tmp_path / "a" / "rsna" / "__init__.py", tmp_path / "a" / "_build.json"
    build = json.loads(manifest.read_text())
    if damage == "altered":
        file.write_text("x = 3\n")
    elif damage == "missing":
        file.unlink()
    elif damage == "escape":
        build["files"]["../../x.py"] = "0" * 64
    else:
        build["files"] = {}
    manifest.write_text(json.dumps(build))
    with pytest.raises(RuntimeError, match="not what was pushed"):
        bootstrap.load_code("", tmp_path)
    assert str(tmp_path / "a") not in sys.path
