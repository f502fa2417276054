"""Unpacking of archives that mean well and of those that do not."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rsna.local_kaggle.files import list_files
from rsna.local_kaggle.unpack import MAX_DEPTH, Unpacker, UnpackError

MIB = 1024 * 1024


def make_zip(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def make_tar(add: Callable[[tarfile.TarFile], None], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        add(archive)
    return buffer.getvalue()


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> Callable[[tarfile.TarFile], None]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    return lambda archive: archive.addfile(info, io.BytesIO(content))


def unpack(
    folder: Path, name: str, content: bytes, max_bytes: int = 100 * MIB, max_files: int = 100, **options: bool
) -> dict[str, bytes]:
    """Unpack one upload; returns what has become of it."""
    source = folder / "upload"
    source.write_bytes(content)
    unpacker = Unpacker(folder / "set", max_bytes, max_files, **options)
    try:
        unpacker.add(source, name)
    finally:
        unpacker.close()
    assert not unpacker.scratch.exists()
    return {file.name: file.path.read_bytes() for file in list_files(folder / "set")}


SDIST = make_tar(member("pkg-1/setup.py", b"x"), "w:gz")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", b"1", {"a.csv": b"1"}),
        ("d.zip", make_zip(**{"x/y.txt": b"1", "z": b"2"}), {"d/x/y.txt": b"1", "d/z": b"2"}),
        ("d.tar", make_tar(member("x.txt", b"1")), {"d/x.txt": b"1"}),
        ("pkg-1.tar.gz", SDIST, {"pkg-1/pkg-1/setup.py": b"x"}),
        ("pkg-1.tgz", SDIST, {"pkg-1/pkg-1/setup.py": b"x"}),
        ("t.csv.gz", gzip.compress(b"1"), {"t.csv": b"1"}),
        ("odd", gzip.compress(b"1"), {"odd": b"1"}),
        ("w.pt", make_zip(**{"w/data.pkl": b"1"}), {"w/w/data.pkl": b"1"}),
        ("w.ckpt", make_zip(a=b"1"), {"w.ckpt/a": b"1"}),
        ("w.pth", b"not an archive", {"w.pth": b"not an archive"}),
        ("outer.zip", make_zip(**{"inner.zip": make_zip(a=b"1")}), {"outer/inner/a": b"1"}),
        ("outer.zip", make_zip(**{"t.csv.gz": gzip.compress(b"1")}), {"outer/t.csv": b"1"}),
        ("broken.zip", make_zip(a=b"1")[:-10], {"broken.zip": make_zip(a=b"1")[:-10]}),
        ("empty.zip", make_zip(), {}),
        ("w.whl", SDIST, {"w.whl": SDIST}),
        ("w.tar.gz.tmp", SDIST, {"w.tar.gz.tmp": SDIST}),
    ],
)
def test_what_becomes_of_files(tmp_path: Path, name: str, content: bytes, expected: dict[str, bytes]) -> None:
    assert unpack(tmp_path, name, content) == expected


def test_faults_of_unpacking(tmp_path: Path) -> None:
    """A rehearsal can let `.tmp` be unpacked too, and one more folder appear."""
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    assert unpack(tmp_path / "1", "w.tmp", make_zip(a=b"1"), any_name=True) == {"w.tmp/a": b"1"}
    assert unpack(tmp_path / "2", "w.zip", make_zip(a=b"1"), wrap=True) == {"w/w/a": b"1"}


def zip_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def deep_zip(levels: int) -> bytes:
    content = b"1"
    for _ in range(levels):
        content = make_zip(**{"a.zip": content})
    return content


def corrupt_zip() -> bytes:
    content = bytearray(make_zip(a=os.urandom(1000)))
    content[200] ^= 0xFF
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.zip", make_zip(**{"../escaped": b"1"}), "leads out"),
        ("a.zip", make_zip(**{"x/../../escaped": b"1"}), "leads out"),
        ("a.zip", make_zip(**{"/tmp/escaped": b"1"}), "leads out"),
        ("a.zip", make_zip(**{"new\nline": b"1"}), "leads out"),
        ("a.tar", make_tar(member("../escaped", b"1")), "leads out"),
        ("a.tar", make_tar(member("/tmp/escaped", b"1")), "leads out"),
        ("a.zip", zip_link(), "a link"),
        ("a.tar", make_tar(member("link", kind=tarfile.SYMTYPE, link="/etc")), "a link"),
        ("a.tar", make_tar(member("link", kind=tarfile.LNKTYPE, link="/etc/passwd")), "a link"),
        ("a.tar", make_tar(member("null", kind=tarfile.CHRTYPE)), "a device"),
        ("a.tar", make_tar(member("pipe", kind=tarfile.FIFOTYPE)), "a device"),
        ("a.tar.gz", make_tar(member("link", kind=tarfile.SYMTYPE, link="/etc"), "w:gz"), "a link"),
        ("a.zip", make_zip(**{"in.zip": make_zip(**{"../../../escaped": b"1"})}), "leads out"),
        ("a.zip", deep_zip(MAX_DEPTH + 1), "deep"),
        ("a.zip", make_zip(**{str(n): b"" for n in range(200)}), "too many files"),
        ("a.zip", make_zip(**{f"{n}/": b"" for n in range(200)}), "too many files"),
        ("a.zip", make_zip(**{"a": b"1", "a/b": b"1"}), "two entries"),
        ("a.zip", make_zip(**{"x" * 300: b"1"}), "too long"),
        ("a.zip", corrupt_zip(), "damaged"),
        ("a.gz", gzip.compress(os.urandom(1000))[:-20], "damaged"),
        ("../a", b"1", "leads out"),
    ],
)
def test_hostile_archives_are_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    """And leave nothing outside of the folder that they were to fill."""
    inside = tmp_path / "deep" / "er"
    inside.mkdir(parents=True)
    with pytest.raises(UnpackError, match=reason):
        unpack(inside, name, content)
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and inside not in path.parents]
    assert outside == []
    assert not Path("/tmp/escaped").exists()


@pytest.mark.parametrize("name", ["zeros.zip", "zeros.gz", "zeros.tar.gz", "twice.zip"])
def test_bombs_are_defused(tmp_path: Path, name: str) -> None:
    """Unpacking stops at the limit, long before the end: here of 40 MB of zeros at 10 MB."""
    zeros = bytes(40 * MIB)
    bombs = {
        "zeros.zip": make_zip(zeros=zeros),
        "zeros.gz": gzip.compress(zeros),
        "zeros.tar.gz": make_tar(member("zeros", zeros), "w:gz"),
        "twice.zip": make_zip(**{"zeros.zip": make_zip(zeros=zeros)}),
    }
    with pytest.raises(UnpackError, match="bomb"):
        unpack(tmp_path, name, bombs[name], max_bytes=10 * MIB)
    assert sum(file.size for file in list_files(tmp_path / "set")) <= 10 * MIB


def test_the_ratio_is_limited_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file may not become hundreds of megabytes, however much is allowed in all."""
    monkeypatch.setattr("rsna.local_kaggle.unpack.ALLOWANCE", MIB)
    with pytest.raises(UnpackError, match="bomb"):
        unpack(tmp_path, "zeros.gz", gzip.compress(bytes(40 * MIB)), max_bytes=1000 * MIB)


def test_a_big_file_that_is_no_archive_is_no_bomb(tmp_path: Path) -> None:
    assert unpack(tmp_path, "big.bin", bytes(2 * MIB), max_bytes=MIB) == {"big.bin": bytes(2 * MIB)}
