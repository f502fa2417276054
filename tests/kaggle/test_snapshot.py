"""What is pushed: the commit or the marked working tree, never a secret, patient data or a large file."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from rsna.errors import InputError
from rsna.kaggle import secrets
from rsna.kaggle.secrets import refusals
from rsna.kaggle.snapshot import DIFF_FILE, take_snapshot, uncommitted
from rsna.kernel import bootstrap
from rsna.tracking import code_provenance


def _git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for path, text in {
        "rsna/__init__.py": "x = 1\n",
        "rsna/a/__init__.py": "",
        "conf/train.yaml": "a: 1\n",
        "setup.py": "",
        "pyproject.toml": "",
        "offline_wheels/requirements.txt": "timm\n",
        "notes.txt": "mine",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    _git(root, "init", "-q")
    _git(root, "add", "-A")
    _git(root, "commit", "-qm", "one")
    return root


def test_the_commit_is_what_is_pushed(project: Path, tmp_path: Path) -> None:
    (project / "rsna" / "__init__.py").write_text("x = 2\n")
    snapshot = take_snapshot(project)
    assert snapshot.files["rsna/__init__.py"] == b"x = 1\n"
    assert "notes.txt" not in snapshot.files
    assert not snapshot.dirty
    assert uncommitted(project)
    snapshot.write(tmp_path / "out")
    build = json.loads((tmp_path / "out" / "_build.json").read_text())
    assert bootstrap.content_hash(build["files"]) == build["content_hash"] == snapshot.content_hash
    assert bootstrap.verify_files(tmp_path / "out", build["files"]) == []


def test_the_working_tree_is_marked_and_carries_its_difference(project: Path) -> None:
    assert not take_snapshot(project, dirty=True).dirty  # nothing differs yet
    (project / "rsna" / "__init__.py").write_text("x = 2\n")
    (project / "rsna" / "new.py").write_text("y = 1\n")
    snapshot = take_snapshot(project, dirty=True)
    assert snapshot.dirty
    assert snapshot.files["rsna/new.py"] == b"y = 1\n"
    assert b"+x = 2" in snapshot.files[DIFF_FILE]
    assert snapshot.content_hash != take_snapshot(project).content_hash


def test_pushed_code_knows_what_it_is(project: Path, tmp_path: Path) -> None:
    (project / "rsna" / "__init__.py").write_text("x = 2\n")
    snapshot = take_snapshot(project, dirty=True)
    snapshot.write(tmp_path / "out")
    found = code_provenance(tmp_path / "out")
    assert (found.commit, found.dirty) == (snapshot.commit, True)
    assert "+x = 2" in found.diff
    assert code_provenance(tmp_path).commit == "unknown"


def test_equal_content_has_an_equal_hash_whatever_the_commit(project: Path) -> None:
    before = take_snapshot(project)
    (project / "notes.txt").write_text("other")
    _git(project, "commit", "-qam", "two")
    after = take_snapshot(project)
    assert before.commit != after.commit
    assert before.content_hash == after.content_hash


def test_a_secret_is_refused_by_name(project: Path) -> None:
    (project / "conf" / "kaggle.json").write_text("{}")
    with pytest.raises(InputError, match=r"conf/kaggle\.json: is named like a secret"):
        take_snapshot(project, dirty=True)


def test_a_folder_without_git_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="commit first"):
        take_snapshot(tmp_path)


REFUSED = [
    ("a/kaggle.json", b"{}"),
    ("a/.env", b""),
    ("a/.env.local", b""),
    ("a/key.pem", b""),
    ("access_token", b""),
    ("x.py", b"k = '''-----BEGIN RSA PRIVATE KEY-----'''"),
    ("x.json", b'{"type": "service_account", "private_key_id": "0123456789abcdef0123"}'),
    ("x.json", b'{"username": "a", "key": "0123456789abcdef0123456789abcdef"}'),
    ("x.py", b"t = 'KGAT_0123456789abcdef0123'"),
    ("a.dcm", b""),
    ("a.bin", b"\0" * 128 + b"DICM"),
    ("t.csv", b"site_id,patient_id,image_id\n1,2,3\n"),
    ("t.csv.gz", b"\x1f\x8b"),
    ("big.py", b" " * (secrets.MAX_FILE_BYTES + 1)),
]
TAKEN = [
    ("rsna/secrets.py", b"names = ('kaggle.json', '.env')"),
    ("conf/a.yaml", b"key: 12"),
    ("rsna/breast.py", b"Column('patient_id', 'id')"),
    ("header.csv", b"patient_id,cancer\n"),
]


@pytest.mark.parametrize(("path", "content"), REFUSED)
def test_what_must_stay_here_is_refused(path: str, content: bytes) -> None:
    assert len(refusals({path: content})) == 1


@pytest.mark.parametrize(("path", "content"), TAKEN)
def test_ordinary_code_is_taken(path: str, content: bytes) -> None:
    assert refusals({path: content}) == []


def test_the_project_itself_can_be_pushed() -> None:
    root = Path(__file__).resolve().parents[2]
    assert take_snapshot(root, dirty=True).files["setup.py"]
