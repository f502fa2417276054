"""Pulling files, over HTTP, from the storage emulator, from a bucket that lies, and from a kernel's output."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from mirror_helpers import FakeBucket, Kernel, write_while_copying

from rsna.errors import InputError
from rsna.tracking import pull
from rsna.tracking.mirror import push_runs
from rsna.tracking.pull import PULLED, pull_runs
from rsna.tracking.run_files import local_path
from rsna.tracking.storage import BucketFolder, runs_folder


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder with its bytes and date."""
    files = [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
    return {path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in tree(folder).items()}


@pytest.fixture
def pulled(root: Path, target: BucketFolder) -> Path:
    """Where the bucket's files go."""
    return root / PULLED / "gs" / target.bucket / target.prefix


def test_what_was_pushed_is_pulled_once(kernel: Kernel, root: Path, target: BucketFolder, pulled: Path) -> None:
    kernel.run("fold_0")
    push_runs(kernel.store, target)
    report = pull_runs(target)
    assert contents(pulled) == contents(kernel.store)
    assert sorted(report.taken) == sorted(contents(kernel.store))
    before = tree(root)
    again = pull_runs(target)
    assert again.taken == []
    assert set(again.runs.values()) == {"unchanged"}
    assert tree(root) == before


def test_only_what_changed_is_taken(kernel: Kernel, target: BucketFolder, root: Path, pulled: Path) -> None:
    run_id = kernel.run("fold_0", end="")
    push_runs(kernel.store, target)
    pull_runs(target)
    kernel.epoch(run_id, 2)
    push_runs(kernel.store, target)
    assert [Path(name).parts[1:] for name in pull_runs(target).taken] == [(run_id, "metrics", "train", "loss")]
    assert contents(pulled) == contents(kernel.store)


def test_a_file_that_was_damaged_here_is_fetched_again(
    kernel: Kernel, target: BucketFolder, root: Path, pulled: Path
) -> None:
    run_id = kernel.run("fold_0")
    push_runs(kernel.store, target)
    pull_runs(target)
    plot = next(pulled.rglob("loss.png"))
    damaged = bytearray(plot.read_bytes())
    damaged[20] ^= 1
    plot.write_bytes(damaged)
    assert len(pull_runs(target).taken) == 1
    assert plot.read_bytes() == (kernel.folder(run_id) / "artifacts" / "plots" / "loss.png").read_bytes()


def test_a_pull_that_broke_off_goes_on(
    kernel: Kernel, target: BucketFolder, root: Path, pulled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fold in range(3):
        kernel.run(f"fold_{fold}")
    push_runs(kernel.store, target)
    monkeypatch.setattr("rsna.tracking.run_files.BATCH_FILES", 4)
    download, calls = target.download, []

    def break_off(files: dict[str, Path], remote: Any) -> dict[str, str]:
        failed = download(files, remote)
        calls.append(files)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return failed

    monkeypatch.setattr(target, "download", break_off)
    with pytest.raises(KeyboardInterrupt):
        pull_runs(target)
    assert contents(pulled).items() < contents(kernel.store).items()
    monkeypatch.setattr(target, "download", download)
    assert len(pull_runs(target).taken) == len(contents(kernel.store)) - 8
    assert contents(pulled) == contents(kernel.store)


def test_what_a_killed_pull_left_is_cleared_away(kernel: Kernel, target: BucketFolder, root: Path) -> None:
    left = root / PULLED / ".part-killed"
    left.mkdir(parents=True)
    (left / "0").write_text("half")
    pull_runs(target)
    assert not left.exists()


def test_two_pulls_at_once_are_refused(target: BucketFolder, root: Path) -> None:
    (root / ".rsna").mkdir()
    with FileLock(root / ".rsna" / "pull.lock"), pytest.raises(InputError, match="another pull"):
        pull_runs(target)


def test_a_file_replaced_while_it_is_fetched_is_taken_in_its_new_state(
    kernel: Kernel, target: BucketFolder, root: Path, pulled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = kernel.run("fold_0", end="")
    push_runs(kernel.store, target)
    download = target.download
    later = iter([2])

    def replaced(files: dict[str, Path], remote: Any) -> dict[str, str]:
        for epoch in later:
            kernel.epoch(run_id, epoch)
            push_runs(kernel.store, target)
        return download(files, remote)

    monkeypatch.setattr(target, "download", replaced)
    report = pull_runs(target)
    assert report.failed == {}
    assert contents(pulled) == contents(kernel.store)


def test_other_bytes_than_were_listed_are_not_taken(fake: FakeBucket, root: Path) -> None:
    fake.put("mlruns/1/meta.yaml", b"hal", listed=b"half of it")
    fake.put("mlruns/1/tags/whole", b"whole")
    report = pull_runs(runs_folder("liar", ""))
    assert list(report.failed) == ["1/meta.yaml"]
    assert report.taken == ["1/tags/whole"]
    assert contents(root / PULLED) == {"gs/liar/mlruns/1/tags/whole": b"whole"}


HOSTILE = [
    "../evil",
    "1/../../evil",
    "1/./evil",
    "/evil",
    "1//evil",
    "..",
    "1/..\\evil",
    "1/\x1b[2Jevil",
    "1/a\nb",
    "1/\u202egnp.evil",
    "1/" + "x" * 300,
    "1/nul\0",
    "1/\ud800",
    "x/" * 600 + "evil",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leads_out(name: str, tmp_path: Path) -> None:
    assert local_path(tmp_path, name) is None


@pytest.mark.parametrize("name", ["1/meta.yaml", "1/a b/ü 100%#.png", "1/.hydra/config.yaml", "1/...", "1/a:b"])
def test_honest_names_stay(name: str, tmp_path: Path) -> None:
    assert local_path(tmp_path, name) == tmp_path / name


def test_a_hostile_bucket_writes_nothing_outside(
    fake: FakeBucket, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("rsna"), "propagate", True)
    for name in HOSTILE:
        fake.put(f"mlruns/{name}", b"evil")
    fake.put("mlruns/1/huge.bin", b"", size=10**15)
    fake.put("mlruns/1/", b"")
    fake.put("mlruns/1/tags/good", b"good")
    before = set(contents(root.parent))
    report = pull_runs(runs_folder("liar", ""))
    assert (report.taken, report.failed) == (["1/tags/good"], {})
    new = set(contents(root.parent)) - before
    assert not [name for name in new if "evil" in name]
    assert {name for name in new if "/mlruns/" in name} == {f"{root.name}/.rsna/mlruns/gs/liar/mlruns/1/tags/good"}
    assert "has no place among runs" in caplog.text
    assert "\x1b" not in caplog.text


def test_a_file_and_a_folder_of_one_name(fake: FakeBucket, root: Path) -> None:
    fake.put("mlruns/1/a", b"file")
    fake.put("mlruns/1/a/b", b"in a folder")
    report = pull_runs(runs_folder("liar", ""))
    assert len(report.failed) == 1
    assert set(report.taken) == {"1/a"}


def test_a_disk_that_is_too_small(fake: FakeBucket, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "MAX_FILE_BYTES", 10**16)
    fake.put("mlruns/1/huge.bin", b"", size=10**15)
    with pytest.raises(InputError, match="GB free"):
        pull_runs(runs_folder("liar", ""))


def test_a_kernel_s_output(kernel: Kernel, moved: Callable[[], Path], root: Path) -> None:
    run_id = kernel.run("fold_0")
    output = moved()
    (output / "weights.safetensors").write_bytes(b"not a run's")
    report = pull_runs(None, [output])
    assert report.runs == {run_id: "added"}
    (folder,) = (root / PULLED / "folders").iterdir()
    assert folder.name.startswith("rsna-train-")
    assert contents(folder / "mlruns") == contents(output / "mlruns")
    before = tree(root)
    assert pull_runs(None, [output]).taken == []
    assert tree(root) == before


def test_a_copy_that_was_damaged_here_is_made_again(kernel: Kernel, moved: Callable[[], Path], root: Path) -> None:
    kernel.run("fold_0")
    output = moved()
    pull_runs(None, [output])
    theirs, ours = (next(folder.rglob("loss.png")) for folder in (output, root / PULLED))
    ours.write_bytes(bytes(ours.stat().st_size))
    os.utime(ours, ns=(theirs.stat().st_mtime_ns, theirs.stat().st_mtime_ns))
    assert len(pull_runs(None, [output]).taken) == 1
    assert ours.read_bytes() == theirs.read_bytes()


def test_a_half_written_file_of_an_output_is_not_taken(
    kernel: Kernel, moved: Callable[[], Path], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.run("fold_0")
    weights = next(moved().rglob("artifacts")) / "weights.safetensors"
    weights.write_bytes(b"half of")
    write_while_copying(weights, monkeypatch)
    report = pull_runs(None, [root.parent / "outputs"])
    assert [Path(name).name for name in report.failed] == ["weights.safetensors"]
    assert list(report.runs.values()) == ["added"]
    assert not list((root / PULLED).rglob("weights.safetensors"))


def test_runs_inside_a_run_are_not_its_neighbours(kernel: Kernel, moved: Callable[[], Path], root: Path) -> None:
    outer, inner = kernel.run("outer"), kernel.run("inner")
    store = moved() / "mlruns"
    (folder,) = store.glob(f"*/{outer}")
    shutil.move(next(store.glob(f"*/{inner}")), folder / "artifacts" / "mlruns" / "1" / inner)
    shutil.copy(folder.parent / "meta.yaml", folder / "artifacts" / "mlruns" / "1")
    assert set(pull_runs(None, [store]).runs) == {outer}


def test_two_outputs_of_one_name_stay_apart(kernel: Kernel, moved: Callable[[], Path], root: Path) -> None:
    kernel.run("fold_0")
    output = moved()
    other = output.parent / "other" / output.name
    shutil.copytree(output, other)
    pull_runs(None, [output, other])
    assert len(list((root / PULLED / "folders").iterdir())) == 2


def test_an_output_without_runs(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no MLflow runs"):
        pull_runs(None, [tmp_path / "my projéct #1 100%"])
