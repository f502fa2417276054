"""Archives of uploads, locks of wheels and manifests of code: unpacked inside their folder, or one line."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import FUZZED, ODD_TEXTS, VALUES, altered, checked, damaged

from rsna.kernel import bootstrap, target, wheels
from rsna.local_kaggle.unpack import Unpacker

PLAIN_NAMES = st.sampled_from(["a", "a/b", "a/b/", "./a", "a//b", "a.zip", "b.tar"])
NAMES = st.one_of(ODD_TEXTS, st.text(max_size=12), PLAIN_NAMES)
WHEEL_NAMES = st.sampled_from(["x-1-py3-none-any.whl", "x.whl", "x-1-py3.whl", "x--py3-none-any.whl"])
LIMIT = 2**20
LOCK = {
    "python": "3.12",
    "wheels": [{"name": "x-y", "version": "1.0", "file": "x_y-1.0-py3-none-any.whl", "sha256": "0" * 64}],
}


def zip_of(names: list[str], content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name.encode("utf-8", "replace").decode()), content)
    return buffer.getvalue()


def tar_of(names: list[str], content: bytes, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name in names:
            entry = tarfile.TarInfo(name.encode("utf-8", "replace").decode())
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


MAKERS = {
    "a.zip": zip_of,
    "b.zip": lambda names, content: zip_of(["in.zip"], zip_of(names, content)),
    "s.zip": lambda names, content: zip_of(names, content, zipfile.ZIP_STORED),
    "a.tar": tar_of,
    "a.tar.gz": lambda names, content: tar_of(names, content, "w:gz"),
    "w.pt": zip_of,
    "w.tmp": zip_of,
}


@pytest.mark.parametrize("name", MAKERS)
@FUZZED
@given(data=st.data(), names=st.lists(NAMES, max_size=4), content=st.binary(max_size=50))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_stay_in_their_folder(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject, names: list[str], content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    packed = MAKERS[name](names, content)
    (folder / "upload").write_bytes(data.draw(st.just(packed) | damaged(packed)))
    inside = folder / "deep" / "set"
    unpacker = Unpacker(inside, LIMIT, 100)
    try:
        checked(lambda: unpacker.add(folder / "upload", name))
    finally:
        unpacker.close()
    found = [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
    assert not any(path.is_symlink() for path in found)
    outside = [path for path in found if inside not in path.parents and path != folder / "upload"]
    assert outside == []
    assert sum(path.stat().st_size for path in found) <= LIMIT + (folder / "upload").stat().st_size


@FUZZED
@given(data=st.data())
def test_locks_of_wheels(tmp_path: Path, data: st.DataObject) -> None:
    lock = data.draw(altered(LOCK))
    text = json.dumps(lock).encode()
    (tmp_path / "lock.json").write_bytes(data.draw(st.just(text) | damaged(text)))
    found = checked(lambda: wheels.read_lock(tmp_path), RuntimeError)
    for wheel in found or []:
        assert (tmp_path / wheel.file).parent == tmp_path
        assert wheel.file.endswith(".whl")
        checked(lambda: wheels.restore_names(tmp_path, found, tmp_path / "restored"), RuntimeError)
    checked(lambda: wheels.verify_wheels(tmp_path), RuntimeError)


@FUZZED
@given(data=st.data())
def test_manifests_of_code(tmp_path: Path, data: st.DataObject) -> None:
    """Nothing of them is ever put on the path but what was pushed."""
    files = data.draw(st.dictionaries(NAMES, st.just("0" * 64), max_size=3))
    build: Any = {"commit": "abc", "content_hash": "0" * 64, "files": files}
    text = json.dumps(data.draw(st.just(build) | altered(build) | VALUES)).encode()
    (tmp_path / "_build.json").write_bytes(data.draw(st.just(text) | damaged(text)))
    assert checked(lambda: bootstrap.load_code("", tmp_path), RuntimeError) is None


@FUZZED
@given(data=st.data())
def test_wheels(tmp_path: Path, data: st.DataObject) -> None:
    metadata = "Metadata-Version: 2.1\nName: x\nVersion: 1\nRequires-Python: >=3.8\nRequires-Dist: numpy>=1\n"
    text = data.draw(damaged(metadata.encode()))
    packed = zip_of(["x-1.dist-info/METADATA"], text)
    path = tmp_path / data.draw(WHEEL_NAMES)
    path.write_bytes(data.draw(st.just(packed) | damaged(packed)))
    checked(lambda: target.Target("3.12", "manylinux_2_28_x86_64").problems(path, {"numpy": "2.0"}), RuntimeError)
