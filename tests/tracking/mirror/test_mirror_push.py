"""Pushing runs, over HTTP, to the storage emulator."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from mirror_helpers import Kernel, free_port, write_while_copying

from rsna.errors import InputError, RsnaError
from rsna.tracking import run_files
from rsna.tracking.mirror import Mirror, Pusher, push_runs
from rsna.tracking.storage import BucketFolder, runs_folder

ROOT = "team/rsna/mlruns/"


def stored(bucket: Any) -> dict[str, bytes]:
    """What the bucket holds, by path in the file store."""
    return {blob.name.removeprefix(ROOT): blob.download_as_bytes() for blob in bucket.list_blobs()}


def on_disk(store: Path) -> dict[str, bytes]:
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_what_a_kernel_writes_arrives_and_goes_once(kernel: Kernel, bucket: Any, target: BucketFolder) -> None:
    kernel.run("fold_0")
    sent = push_runs(kernel.store, target).sent
    assert stored(bucket) == on_disk(kernel.store)
    assert sorted(sent) == sorted(on_disk(kernel.store))
    assert push_runs(kernel.store, target).sent == []


def test_only_what_changed_goes_again(kernel: Kernel, bucket: Any, target: BucketFolder) -> None:
    run_id = kernel.run("fold_0", end="")
    push_runs(kernel.store, target)
    kernel.epoch(run_id, 2)
    kernel.folder(run_id).joinpath("tags", "kernel").touch()  # the same bytes
    sent = push_runs(kernel.store, target).sent
    assert [Path(name).parts[1:] for name in sent] == [(run_id, "metrics", "train", "loss")]
    assert stored(bucket) == on_disk(kernel.store)


def test_a_change_that_keeps_the_size_goes_too(kernel: Kernel, bucket: Any, target: BucketFolder) -> None:
    run_id = kernel.run("fold_0")
    push_runs(kernel.store, target)
    kernel.client.set_tag(run_id, "kernel", "rsna-TRAIN")
    assert [Path(name).name for name in push_runs(kernel.store, target).sent] == ["kernel"]
    assert stored(bucket) == on_disk(kernel.store)


def test_a_file_touched_just_now_waits(
    kernel: Kernel, bucket: Any, target: BucketFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = kernel.run("fold_0")
    weights = kernel.folder(run_id) / "artifacts" / "weights.safetensors"
    weights.write_bytes(b"half of")
    os.utime(weights, (0, 0))  # MLflow copies artifacts with their dates, which say nothing
    pusher = Pusher(kernel.store, target)
    monkeypatch.setattr(run_files, "SETTLE_S", 3600.0)
    report = pusher.push()
    assert [Path(name).parts[2:] for name in report.sent] == [("metrics", "train", "loss")]
    assert weights.relative_to(kernel.store).as_posix() in report.waiting
    assert sorted(report.sent + report.waiting) == sorted(on_disk(kernel.store))

    weights.write_bytes(b"half of the weights")
    monkeypatch.setattr(run_files, "SETTLE_S", 0.0)
    assert sorted(pusher.push().sent) == sorted(report.waiting)
    assert stored(bucket) == on_disk(kernel.store)


def test_a_file_from_a_clock_ahead_does_not_wait_for_ever(kernel: Kernel, target: BucketFolder) -> None:
    weights = kernel.folder(kernel.run("fold_0")) / "artifacts" / "weights.safetensors"
    weights.write_bytes(b"weights")
    os.utime(weights, (4e9, 4e9))
    assert Pusher(kernel.store, target).push().waiting == []


def test_a_file_that_changes_while_it_is_copied_waits(
    kernel: Kernel, target: BucketFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = kernel.folder(kernel.run("fold_0")) / "artifacts" / "weights.safetensors"
    weights.write_bytes(b"half of")
    write_while_copying(weights, monkeypatch)
    assert Pusher(kernel.store, target).push().waiting == [weights.relative_to(kernel.store).as_posix()]


def test_a_metric_goes_up_to_its_last_line(kernel: Kernel, bucket: Any, target: BucketFolder) -> None:
    run_id = kernel.run("fold_0", end="")
    metric = kernel.folder(run_id) / "metrics" / "train" / "loss"
    whole = metric.read_bytes()
    with metric.open("ab") as file:
        file.write(b"1700000000000 0.2")
    Pusher(kernel.store, target).push()  # at once, for a metric of every step never settles
    assert stored(bucket)[metric.relative_to(kernel.store).as_posix()] == whole


def test_the_status_goes_last(kernel: Kernel, target: BucketFolder) -> None:
    kernel.run("fold_0")
    names = [Path(name).name for name in push_runs(kernel.store, target).sent]
    first = names.index("meta.yaml")
    assert set(names[first:]) == {"meta.yaml"}


def test_links_and_unfinished_files_stay(kernel: Kernel, tmp_path: Path, bucket: Any, target: BucketFolder) -> None:
    artifacts = kernel.folder(kernel.run("fold_0")) / "artifacts"
    (tmp_path / "secret").write_text("hunter2")
    (artifacts / "link").symlink_to(tmp_path / "secret")
    (artifacts / "folder").symlink_to(tmp_path)
    (artifacts / ".part-x.png").write_bytes(b"half")
    os.mkfifo(artifacts / "pipe")
    push_runs(kernel.store, target)
    held = stored(bucket)
    assert not [name for name in held if "link" in name or "folder" in name or ".part" in name or "pipe" in name]
    assert b"hunter2" not in b"".join(held.values())


def test_nothing_is_deleted(kernel: Kernel, bucket: Any, target: BucketFolder) -> None:
    run_id = kernel.run("fold_0")
    push_runs(kernel.store, target)
    before = stored(bucket)
    shutil.rmtree(kernel.folder(run_id))
    kernel.run("fold_1")
    push_runs(kernel.store, target)
    assert before.items() <= stored(bucket).items()


def test_a_push_that_broke_off_goes_on(
    kernel: Kernel, bucket: Any, target: BucketFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fold in range(3):
        kernel.run(f"fold_{fold}")
    monkeypatch.setattr(run_files, "BATCH_FILES", 4)
    upload, sent = target.upload, []

    def break_off(files: dict[str, Path]) -> dict[str, str]:
        if len(sent) >= 8:
            raise KeyboardInterrupt
        sent.extend(files)
        return upload(files)

    monkeypatch.setattr(target, "upload", break_off)
    with pytest.raises(KeyboardInterrupt):
        push_runs(kernel.store, target)
    monkeypatch.setattr(target, "upload", upload)
    again = push_runs(kernel.store, target).sent
    assert sent
    assert sorted(sent + again) == sorted(on_disk(kernel.store))
    assert stored(bucket) == on_disk(kernel.store)


def test_no_runs_no_push(tmp_path: Path, target: BucketFolder) -> None:
    (tmp_path / "code.py").write_text("")
    with pytest.raises(InputError, match="no folder of MLflow runs"):
        push_runs(tmp_path, target)


def test_a_bucket_that_is_not_there(kernel: Kernel, bucket: Any) -> None:
    kernel.run("fold_0")
    with pytest.raises(InputError, match="there is no bucket elsewhere"):
        push_runs(kernel.store, runs_folder("elsewhere", ""))


def wait_until(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def test_a_mirror_pushes_while_the_block_goes_on(kernel: Kernel, bucket: Any) -> None:
    with Mirror(kernel.store, bucket.name, "team/rsna", every=0.05):
        run_id = kernel.run("fold_0", end="")
        wait_until(lambda: any(name.endswith("loss.png") for name in stored(bucket)))
        kernel.epoch(run_id, 2)
        wait_until(lambda: stored(bucket).items() == on_disk(kernel.store).items())
        kernel.epoch(run_id, 3)
        kernel.client.set_terminated(run_id)
    assert stored(bucket) == on_disk(kernel.store)


def test_a_mirror_asks_nothing_where_nothing_changed(
    kernel: Kernel, target: BucketFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.run("fold_0")
    pusher = Pusher(kernel.store, target)
    pusher.push()
    monkeypatch.delattr(BucketFolder, "list")
    assert pusher.push().sent == []


def test_a_network_that_fails_is_logged_and_tried_again(
    kernel: Kernel, bucket: Any, emulator: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("rsna"), "propagate", True)
    monkeypatch.setattr("rsna.tracking.storage.RETRY_S", 0.01)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    caplog.set_level(logging.INFO)
    kernel.run("fold_0")
    with Mirror(kernel.store, bucket.name, "team/rsna", every=0.05) as mirror:
        wait_until(lambda: "the runs are not mirrored" in caplog.text)
        mirror._pusher = None  # the client keeps its address
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
        wait_until(lambda: "the runs are mirrored again" in caplog.text)
    assert stored(bucket) == on_disk(kernel.store)


@pytest.mark.parametrize("key", [{"type": "service_account", "private_key": "hunter2"}, Path("/absent/key.json")])
def test_a_mirror_never_ends_the_block(key: Any, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("rsna.tracking.mirror.logger.warning", said.append)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    kernel.run("fold_0")
    with Mirror(kernel.store, "bucket", "", key, every=0.01):
        wait_until(lambda: bool(said))
    assert "hunter2" not in " ".join(said)
    assert ["not mirrored" in line for line in said] == [True]


def test_the_block_s_own_error_is_passed_on(kernel: Kernel, bucket: Any) -> None:
    kernel.run("fold_0")
    with pytest.raises(ZeroDivisionError), Mirror(kernel.store, bucket.name, "team/rsna"):
        1 / 0  # noqa: B018
    assert stored(bucket) == on_disk(kernel.store)


def test_a_bucket_that_refuses_is_one_line(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr("rsna.tracking.storage.RETRY_S", 0.01)
    kernel.run("fold_0")
    with pytest.raises(RsnaError, match="cannot list gs://bucket/mlruns") as caught:
        push_runs(kernel.store, runs_folder("bucket", ""))
    assert "\n" not in str(caught.value)
