"""`rsna runs push` and `rsna runs pull`, as they are typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mirror_helpers import FakeBucket, Kernel

from rsna.cli.app import main
from rsna.kaggle.settings import Settings, write_settings


@pytest.fixture
def rsna(root: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command line; its exit status and what it printed."""

    def run(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out + printed.err

    return run


def test_to_the_bucket_and_back(rsna: Any, kernel: Kernel, bucket: Any) -> None:
    kernel.run("fold_0")
    write_settings(Settings(user="somebody", bucket=bucket.name, prefix="team"))
    count = sum(path.is_file() for path in kernel.store.rglob("*"))
    assert rsna("runs", "push", kernel.store) == (0, f"gs://{bucket.name}/team/mlruns: {count} files sent\n")
    assert rsna("runs", "pull") == (0, f"{count} files taken; runs: 1 added\n")
    assert rsna("runs", "pull") == (0, "0 files taken; runs: 1 unchanged\n")


def test_options_take_the_place_of_settings(rsna: Any, kernel: Kernel, bucket: Any) -> None:
    kernel.run("fold_0")
    assert rsna("runs", "push", kernel.store, "--bucket", bucket.name)[0] == 0
    assert rsna("runs", "pull", "--bucket", bucket.name)[1].endswith("runs: 1 added\n")


def test_from_an_output_and_the_bucket(rsna: Any, kernel: Kernel, moved: Any, bucket: Any) -> None:
    kernel.run("fold_0")
    rsna("runs", "push", kernel.store, "--bucket", bucket.name)
    kernel.run("fold_1")
    output = moved()
    assert rsna("runs", "pull", "--bucket", bucket.name)[1].endswith("runs: 1 added\n")
    assert rsna("runs", "pull", "--from", output)[1].endswith("runs: 1 added, 1 updated\n")
    assert rsna("runs", "pull", "--from", output, "--bucket", bucket.name)[1].endswith("runs: 2 unchanged\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["push"], "mlruns is no folder of MLflow runs"),
        (["pull", "--from", "absent"], "absent holds no MLflow runs"),
        (["pull", "--bucket", "absent"], "there is no bucket absent"),
    ],
)
def test_wrong_input_is_one_line(arguments: list[str], message: str, rsna: Any, bucket: Any) -> None:
    write_settings(Settings(user="somebody", bucket=bucket.name))
    status, printed = rsna("runs", *arguments)
    assert status == 2
    assert message in printed
    assert len(printed.splitlines()) == 1


def test_without_a_bucket(rsna: Any) -> None:
    assert rsna("runs", "pull")[0] == 2
    write_settings(Settings(user="somebody"))
    status, printed = rsna("runs", "pull")
    assert status == 2
    assert "names no bucket" in printed


def test_files_that_do_not_arrive_fail_the_command(rsna: Any, fake: FakeBucket) -> None:
    fake.put("mlruns/1/meta.yaml", b"hal", listed=b"half of it")
    status, printed = rsna("runs", "pull", "--bucket", "liar")
    assert status == 1
    assert "1 files did not arrive, such as 1/meta.yaml: the bucket has other bytes; pull again" in printed
