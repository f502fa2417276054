"""Pulled runs in the project's database, judged by what MLflow's own client reads there."""

from __future__ import annotations

import logging
import math
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mirror_helpers import Kernel, picture
from mlflow.exceptions import MlflowException

from rsna.config.tracking import TrackingSpec
from rsna.errors import RsnaError
from rsna.tracking import Tracker
from rsna.tracking.mirror import push_runs
from rsna.tracking.pull import PULLED, pull_runs
from rsna.tracking.storage import BucketFolder


@pytest.fixture
def pull(kernel: Kernel, tmp_path: Path, root: Path) -> Callable[[], dict[str, str]]:
    """Pull the kernel's output as it is now, from a place where its paths lead nowhere."""

    def run() -> dict[str, str]:
        output = tmp_path / "output"
        shutil.copytree(kernel.store, output / "mlruns", symlinks=True, dirs_exist_ok=True)
        kernel.store.parent.rename(tmp_path / "gone")
        try:
            return dict(pull_runs(None, [output]).runs)
        finally:
            (tmp_path / "gone").rename(kernel.store.parent)

    return run


def artifacts(client: Any, run_id: str, folder: str | None = None) -> list[str]:
    found = client.list_artifacts(run_id, folder)
    return [p for f in found for p in (artifacts(client, run_id, f.path) if f.is_dir else [f.path])]


def rows(root: Path) -> list[str]:
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        return list(database.iterdump())


def test_mlflow_reads_what_the_kernel_wrote(kernel: Kernel, pull: Any, client: Any, tmp_path: Path) -> None:
    run_id = kernel.run("fold_0", epochs=3)
    for step, value in enumerate([math.nan, math.inf, -math.inf]):
        kernel.client.log_metric(run_id, "odd", value, step=step)
    theirs = kernel.client.get_run(run_id)
    assert pull() == {run_id: "added"}
    ours = client.get_run(run_id)
    for field in ("run_name", "status", "start_time", "end_time", "user_id", "lifecycle_stage"):
        assert getattr(ours.info, field) == getattr(theirs.info, field)
    assert ours.data.params == theirs.data.params
    assert ours.data.tags == theirs.data.tags
    assert ours.data.metrics["train/loss"] == theirs.data.metrics["train/loss"] == 1 / 3
    points = client.get_metric_history(run_id, "train/loss")
    assert [(p.step, p.value, p.timestamp) for p in points] == [
        (p.step, p.value, p.timestamp) for p in kernel.client.get_metric_history(run_id, "train/loss")
    ]
    odd = {point.step: point.value for point in client.get_metric_history(run_id, "odd")}
    assert math.isnan(odd[0])
    assert odd[1] > 1e308 > -1e308 > odd[2]
    assert artifacts(client, run_id) == ["plots/loss.png"]
    plot = client.download_artifacts(run_id, "plots/loss.png", str(tmp_path))
    assert Path(plot).read_bytes() == picture()


def test_runs_of_several_kernels_meet_the_local_ones(
    kernel: Kernel, target: BucketFolder, root: Path, client: Any, tmp_path: Path
) -> None:
    here = TrackingSpec(experiment="breast", uri=f"sqlite:///{root / 'mlflow.db'}")
    with Tracker(here, "local", tmp_path / "run") as tracker:
        pass
    pushed = kernel.run("pushed"), kernel.run("other", experiment="head")
    push_runs(kernel.store, target)
    shutil.rmtree(kernel.store.parent)
    fetched = Kernel(tmp_path / "second").run("fetched")
    output = (tmp_path / "second").rename(tmp_path / "output")
    assert set(pull_runs(target, [output]).runs) == {*pushed, fetched}
    breast = client.get_experiment_by_name("breast")
    found = {run.info.run_id for run in client.search_runs([breast.experiment_id])}
    assert found == {tracker.run_id, pushed[0], fetched}
    assert {e.name for e in client.search_experiments()} == {"Default", "breast", "head"}
    for run_id in (*pushed, fetched):
        assert artifacts(client, run_id) == ["plots/loss.png"]


def test_pulling_twice_changes_nothing(kernel: Kernel, pull: Any, root: Path) -> None:
    run_id = kernel.run("fold_0")
    pull()
    before = rows(root)
    assert pull() == {run_id: "unchanged"}
    assert rows(root) == before


def test_a_run_that_went_on_is_brought_up_to_date(kernel: Kernel, pull: Any, client: Any) -> None:
    run_id = kernel.run("fold_0", end="")
    pull()
    assert client.get_run(run_id).info.status == "RUNNING"
    client.set_tag(run_id, "mlflow.note.content", "looks odd")
    kernel.epoch(run_id, 2)
    kernel.client.set_tag(run_id, "kernel", "rsna-train v2")
    kernel.client.set_terminated(run_id, "FAILED")
    assert pull() == {run_id: "updated"}
    run = client.get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.info.end_time
    assert [point.step for point in client.get_metric_history(run_id, "train/loss")] == [0, 1, 2]
    assert run.data.metrics["train/loss"] == 1 / 3
    assert run.data.tags["kernel"] == "rsna-train v2"
    assert run.data.tags["mlflow.note.content"] == "looks odd"


def test_a_change_that_keeps_the_size_is_seen(kernel: Kernel, pull: Any, client: Any) -> None:
    run_id = kernel.run("fold_0")
    pull()
    kernel.client.set_tag(run_id, "kernel", "rsna-TRAIN")
    assert pull() == {run_id: "updated"}
    assert client.get_run(run_id).data.tags["kernel"] == "rsna-TRAIN"


def test_a_line_that_somebody_else_s_copy_tore(
    kernel: Kernel, bucket: Any, target: BucketFolder, root: Path, client: Any
) -> None:
    run_id = kernel.run("fold_0")
    push_runs(kernel.store, target)
    metric = f"{target.prefix}/{kernel.folder(run_id).parent.name}/{run_id}/metrics/torn"
    bucket.blob(metric).upload_from_string("1700000000000 0.5 0\n17000000")
    assert pull_runs(target).runs == {run_id: "added"}
    assert client.get_run(run_id).data.metrics["torn"] == 0.5


def mark_deleted(client: Any, run_id: str) -> None:
    client.delete_run(run_id)


def delete_for_good(client: Any, run_id: str) -> None:
    client.delete_run(run_id)
    store = client._tracking_client.store
    shutil.rmtree(Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://")), ignore_errors=True)
    store._hard_delete_run(run_id)  # what `mlflow gc` does


def delete_experiment(client: Any, run_id: str) -> None:
    client.delete_experiment(client.get_run(run_id).info.experiment_id)


@pytest.mark.parametrize("delete", [mark_deleted, delete_for_good, delete_experiment])
def test_what_was_deleted_here_stays_deleted(
    delete: Callable[[Any, str], None], kernel: Kernel, target: BucketFolder, root: Path, client: Any
) -> None:
    run_id = kernel.run("fold_0", end="")
    push_runs(kernel.store, target)
    pull_runs(target)
    delete(client, run_id)
    shutil.rmtree(root / PULLED)
    kernel.epoch(run_id, 2)
    push_runs(kernel.store, target)
    report = pull_runs(target)
    assert [name for name in report.taken if run_id in name] == []
    assert client.search_runs([e.experiment_id for e in client.search_experiments()]) == []


def test_an_experiment_deleted_here_takes_no_new_runs(kernel: Kernel, pull: Any, client: Any) -> None:
    first = kernel.run("fold_0")
    pull()
    client.delete_experiment(client.get_run(first).info.experiment_id)
    second = kernel.run("fold_1")
    assert pull() == {first: "deleted", second: "deleted"}
    assert [e.name for e in client.search_experiments()] == ["Default"]


def test_a_new_database_gets_all_runs_again(kernel: Kernel, pull: Any, root: Path, empty_database: Path) -> None:
    run_id = kernel.run("fold_0")
    pull()
    shutil.copy(empty_database, root / "mlflow.db")
    assert pull() == {run_id: "added"}


def test_a_renamed_experiment_keeps_its_runs(kernel: Kernel, pull: Any, client: Any) -> None:
    run_id = kernel.run("fold_0", end="")
    pull()
    number = client.get_run(run_id).info.experiment_id
    client.rename_experiment(number, "breast, first tries")
    kernel.epoch(run_id, 2)
    pull()
    assert client.get_run(run_id).info.experiment_id == number
    assert client.get_experiment_by_name("breast") is None


def test_of_two_copies_the_further_one_counts(
    kernel: Kernel, target: BucketFolder, moved: Any, root: Path, client: Any
) -> None:
    run_id = kernel.run("fold_0", end="")
    push_runs(kernel.store, target)
    kernel.epoch(run_id, 2)
    (kernel.folder(run_id) / "artifacts" / "last.txt").write_text("only in the output")
    kernel.client.set_terminated(run_id)
    assert pull_runs(target, [moved()]).runs == {run_id: "added"}
    assert client.get_run(run_id).info.status == "FINISHED"
    assert artifacts(client, run_id) == ["last.txt", "plots/loss.png"]


def test_a_run_recorded_here_is_never_touched(kernel: Kernel, pull: Any, root: Path) -> None:
    run_id = kernel.run("fold_0")
    pull()
    with closing(sqlite3.connect(root / "mlflow.db")) as database, database:
        database.execute("DELETE FROM rsna_pulled_runs")  # as though it had not been pulled
        database.execute("UPDATE runs SET name = 'local'")
    before = rows(root)
    kernel.epoch(run_id, 2)
    assert pull() == {run_id: "unchanged"}
    assert rows(root) == before


def test_a_project_that_moved_finds_its_artifacts(
    kernel: Kernel, pull: Any, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    run_id = kernel.run("fold_0")
    pull()
    new = root.rename(root.with_name("moved"))
    monkeypatch.chdir(new)
    assert pull() == {run_id: "updated"}
    assert artifacts(MlflowClient(f"sqlite:///{new / 'mlflow.db'}"), run_id) == ["plots/loss.png"]


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        path = run / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def write(name: str, content: str | bytes) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        (run / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


MALFORMED = {
    "a tag that would run code": write("meta.yaml", "!!python/object/apply:os.system ['touch ran']"),
    "aliases that grow": write("meta.yaml", "a: &a [x, x]\nb: [*a, *a]\n"),
    "no mapping": write("meta.yaml", "- 1"),
    "half a file": write("meta.yaml", b"run_id: 'abc"),
    "not text": write("meta.yaml", b"\xff\xfe"),
    "a date that is none": write("meta.yaml", "start_time: 2001-99-99"),
    "a wrong standard tag": write("meta.yaml", "start_time: !!int ''"),
    "a word that is no truth": write("meta.yaml", "start_time: !!bool maybe"),
    "a time by tag": write("meta.yaml", "start_time: !!timestamp noon"),
    "a number that nobody reads": write("meta.yaml", f"start_time: {'9' * 5000}"),
    "of another run": edit("meta.yaml", "run_id: ", "run_id: f"),
    "a time that is none": edit("meta.yaml", "start_time: ", "start_time: -"),
    "a time too long for the table": edit("meta.yaml", "start_time: ", "start_time: 99999999999"),
    "a metric of words": write("metrics/train/loss", "one two three\n"),
    "a metric without a value": write("metrics/train/loss", "1\n"),
    "a step too long for the table": write("metrics/train/loss", f"1 0.5 {10**30}\n"),
    "a number too long to read": write("metrics/train/loss", f"1 0.5 {'9' * 5000}\n"),
    "a parameter that is not text": write("params/model.backbone", b"\xff"),
}


@pytest.mark.parametrize("damage", MALFORMED.values(), ids=MALFORMED)
def test_a_run_that_cannot_be_read_is_left_out(
    damage: Callable[[Path], None],
    kernel: Kernel,
    pull: Any,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(logging.getLogger("rsna"), "propagate", True)
    good, bad = kernel.run("good"), kernel.run("bad")
    damage(kernel.folder(bad))
    assert pull() == {good: "added", bad: "left out"}
    assert "this run is left out" in caplog.text
    assert not (root / "ran").exists()


@pytest.mark.parametrize("name", ["", "''", "[1]", "!!python/name:os.system", "'\\e[2J'", "x" * 300])
def test_an_experiment_that_cannot_be_read_is_left_out(name: str, kernel: Kernel, pull: Any) -> None:
    good, bad = kernel.run("good"), kernel.run("bad", experiment="bad")
    meta = kernel.folder(bad).parent / "meta.yaml"
    meta.write_text(meta.read_text().replace("name: bad", f"name: {name.replace(chr(39), chr(34))}"))
    assert pull() == {good: "added"}


def test_no_path_of_a_run_is_followed(kernel: Kernel, pull: Any, client: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("hunter2")
    run_id = kernel.run("fold_0")
    edit("meta.yaml", "artifact_uri: ", f"artifact_uri: file://{secret} # ")(kernel.folder(run_id))
    (kernel.folder(run_id) / "artifacts" / "link").symlink_to(secret)
    pull()
    assert artifacts(client, run_id) == ["plots/loss.png"]


def test_a_name_that_is_no_text_leaves_its_run_out_and_says_so(
    kernel: Kernel, pull: Any, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    odd, whole = kernel.run("fold_0"), kernel.run("fold_1")
    edit("meta.yaml", "run_name: fold_0", 'run_name: "a\\ud800b"')(kernel.folder(odd))
    pull()
    assert client.get_run(whole).info.run_name == "fold_1"
    with pytest.raises(MlflowException, match="not found"):
        client.get_run(odd)
    assert any("is not valid YAML" in line and "this run is left out" in line for line in caplog.messages)


def test_odd_but_honest_values(kernel: Kernel, pull: Any, client: Any) -> None:
    run_id = kernel.run("fold_0")
    folder = kernel.folder(run_id)
    (folder / "params" / "notes").write_text("x" * 20000)
    (folder / "params" / "empty").write_text("")
    (folder / "metrics" / "old").write_text("1700000000000 0.5\n1700000000001 0.25\n")  # without a step
    (folder / "metrics" / "torn").write_text("1700000000000 0.5 0\n17000000")
    (folder / "metrics" / "twice").write_text("1700000000000 0.5 0\n1700000000000 0.50 0\n")
    (folder / "metrics" / "none").write_text("1700000000000 nan 0\n1700000000000 NaN 0\n")
    (folder / "metrics" / "back").write_text("1700000000000 0.5 7\n1700000000001 0.25 3\n")
    pull()
    run = client.get_run(run_id)
    assert len(run.data.params["notes"]) == 8000
    assert run.data.params["empty"] == ""
    metrics = {key: value for key, value in run.data.metrics.items() if key != "train/loss"}
    assert math.isnan(metrics.pop("none"))
    assert metrics == {"old": 0.25, "torn": 0.5, "twice": 0.5, "back": 0.5}


def test_runs_deleted_where_they_were_made(kernel: Kernel, pull: Any) -> None:
    run_id, other = kernel.run("fold_0"), kernel.run("fold_1", experiment="gone")
    kernel.client.delete_run(run_id)
    kernel.client.delete_experiment(kernel.client.get_run(other).info.experiment_id)
    assert pull() == {run_id: "left out"}


def test_a_database_that_is_none_is_one_line(root: Path, target: BucketFolder) -> None:
    (root / "mlflow.db").write_text("some text that is longer than the header of a database, to be read as none")
    with pytest.raises(RsnaError, match=r"cannot write mlflow\.db") as caught:
        pull_runs(target)
    assert "\n" not in str(caught.value)


def test_a_killed_merge_leaves_no_half_run(
    kernel: Kernel, pull: Any, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.tracking.dbmodels import models

    run_id = kernel.run("fold_0")

    def killed(**_: object) -> Iterator[None]:
        raise KeyboardInterrupt

    tag = models.SqlTag
    monkeypatch.setattr(models, "SqlTag", killed)
    before = rows(root)
    with pytest.raises(KeyboardInterrupt):
        pull()
    assert [row for row in rows(root) if run_id in row] == [row for row in before if run_id in row] == []
    monkeypatch.setattr(models, "SqlTag", tag)
    assert pull() == {run_id: "added"}
