"""Atomic writes, bounded reads, hashes and file names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsna import io
from rsna.errors import ImageError, InputError


def test_a_failed_write_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    io.write_json(target, {"old": 1})

    def fail_half_way() -> None:
        with io.atomic_path(target) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert io.read_json(target) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_written_file_has_ordinary_permissions(tmp_path: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    io.write_text(tmp_path / "a.txt", "x")
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o666 & ~umask


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        io.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_an_output_folder_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        io.write_text(tmp_path / "file" / "x.txt", "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_one_clear_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="not writable"):
        io.ensure_dir(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "not valid JSON"),
        ("a.json", "[" * 100_000, "not valid JSON"),
        ("a.yaml", "a: [1", "not valid YAML"),
        ("a.yaml", "a: !!python/object/apply:os.system [true]", "not valid YAML"),
        ("a.yaml", "a: &x [1]\nb: [*x, *x]", "YAML aliases"),
    ],
)
def test_hostile_text_is_one_clear_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        (io.read_json if name.endswith("json") else io.read_yaml)(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_missing_binary_and_huge_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        io.read_text(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        io.read_text(tmp_path / "binary")
    with pytest.raises(InputError, match="larger than 2 bytes"):
        io.read_text(tmp_path / "binary", limit=2)


def test_digest_ignores_the_order_of_keys() -> None:
    assert io.digest({"a": 1, "b": [2]}) == io.digest({"b": [2], "a": 1}) != io.digest({"a": 1, "b": [3]})


def test_sha256_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert io.sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2, unique=True))
def test_ids_become_distinct_safe_names(ids: list[str]) -> None:
    names = [io.file_name(i.encode("utf-8", "ignore").decode()) for i in ids]
    for name in names:
        assert "/" not in name
        assert "\0" not in name
        assert name not in ("", ".", "..")
    if all(i.encode("utf-8", "ignore").decode() == i for i in ids):
        assert names[0] != names[1]


def test_an_image_error_crosses_process_borders() -> None:
    import pickle

    copy = pickle.loads(pickle.dumps(ImageError("a/b.dcm", "is empty")))
    assert (copy.path, copy.reason, str(copy)) == ("a/b.dcm", "is empty", "a/b.dcm: is empty")
