"""The journal: what survives a kill, and what is never mixed."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rsna.errors import RsnaError
from rsna.inference import Bundle, PredictOptions, predict_folder
from rsna.inference import run as run_module
from rsna.inference.journal import Batch, Journal

FILES = ("s.csv", "predictions.parquet")


def batch(seed: int, failed: dict[int, str] | None = None) -> Batch:
    values = np.random.default_rng(seed).random((4, 2, 1), np.float32)
    if failed:
        values[0] = np.nan
    return Batch(("fold_0", "fold_1"), ("none",), values, failed or {}, divide=1 + seed % 2)


def fill(folder: Path, key: str = "k", count: int = 3) -> Path:
    with Journal(folder, key) as journal:
        for number in range(count):
            journal.add_batch(number, batch(number, {4 * number: "bröken"}))
        journal.add("step", step="no-tta", batch=2, needed_s=3.0, left_s=1.0)
        journal.add("skip", row=7, reason="kills")
    return folder / "records"


def test_what_is_written_is_read_back_bit_by_bit(tmp_path: Path) -> None:
    fill(tmp_path / "j")
    with Journal(tmp_path / "j", "k") as journal:
        assert journal.missing(5) == [3, 4]
        assert [step["step"] for step in journal.steps] == ["no-tta"]
        assert journal.skipped == {7: "kills"}
        for number, found in journal.batches.items():
            expected = batch(number, {4 * number: "bröken"})
            np.testing.assert_array_equal(found.values, expected.values)
            assert (found.members, found.tta, found.failed) == (expected.members, expected.tta, expected.failed)
            assert found.divide == expected.divide


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 1200))
@example(cut=36)  # the first line without its end
def test_wherever_it_is_cut_off_whole_batches_remain_and_it_goes_on(tmp_path: Path, cut: int) -> None:
    records = fill(tmp_path / f"j{cut}")
    content = records.read_bytes()
    records.write_bytes(content[:cut])
    left = content[:cut].count(b'"kind": "batch"', 0, content[:cut].rfind(b"\n") + 1)
    with Journal(records.parent, "k") as journal:
        assert len(journal.batches) == left
        for number in journal.missing(3):
            journal.add_batch(number, batch(number))
    with Journal(records.parent, "k") as journal:
        assert journal.missing(3) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 1100), flip=st.integers(1, 255))
def test_an_altered_byte_costs_its_own_line_and_nothing_false_is_read(tmp_path: Path, place: int, flip: int) -> None:
    records = fill(tmp_path / f"a{place}-{flip}")
    content = bytearray(records.read_bytes())
    content[place % len(content)] ^= flip
    records.write_bytes(content)
    with Journal(records.parent, "k") as journal:
        assert len(journal.batches) in (0, 1, 2, 3)  # 0: the first line, which says whose it is
        for number, found in journal.batches.items():
            np.testing.assert_array_equal(found.values, batch(number, {4 * number: ""}).values)


def test_a_journal_of_another_job_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rsna")
    fill(tmp_path / "j", "one")
    with Journal(tmp_path / "j", "two") as journal:
        assert journal.missing(3) == [0, 1, 2]
    assert caplog.text.count("belongs to another bundle, table or other options; it is not used") == 1
    with pytest.raises(RsnaError, match="not the journal of this job"):
        Journal(tmp_path / "j", "one").attach()


class Stop(Exception):
    """In the place of a kill."""


@pytest.fixture
def interrupted(
    bundle: Bundle, competition: Path, tmp_path: Path, options: PredictOptions, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The output folder of a prediction that ended after the second of three batches."""

    class Short(run_module.Watch):
        def add(self, images: int) -> None:
            super().add(images)
            if self.left <= 4:
                raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "Watch", Short)
        with pytest.raises(Stop):
            predict_folder(bundle, competition, tmp_path / "out/s.csv", probability=True, options=options)
    return tmp_path / "out"


def test_what_was_interrupted_goes_on_and_ends_with_the_same_bytes(
    interrupted: Path, bundle: Bundle, competition: Path, tmp_path: Path, options: PredictOptions
) -> None:
    assert not (interrupted / "s.csv").exists()
    decoded = (competition / "test_images/10/100.dcm").read_bytes()
    (competition / "test_images/10/100.dcm").write_bytes(b"")  # of the first batch, which is not made again
    options = replace(options, workers=2)  # no part of what is predicted
    assert predict_folder(bundle, competition, interrupted / "s.csv", probability=True, options=options)["filled"] == 0
    (competition / "test_images/10/100.dcm").write_bytes(decoded)
    predict_folder(bundle, competition, tmp_path / "whole/s.csv", probability=True, options=options)
    for name in FILES:
        assert (interrupted / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list(interrupted.glob(".*"))


@pytest.mark.parametrize("changed", ["batch_size", "tta", "table"])
def test_other_options_or_another_table_begin_anew(
    interrupted: Path,
    bundle: Bundle,
    competition: Path,
    options: PredictOptions,
    changed: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if changed == "table":
        rows = (competition / "test.csv").read_text().splitlines()
        (competition / "test.csv").write_text("\n".join([rows[0], *rows[:0:-1]]) + "\n")
    else:
        options = replace(options, **{"batch_size": {"batch_size": 3}, "tta": {"tta": ("hflip",)}}[changed])
    predict_folder(bundle, competition, interrupted / "s.csv", options=options)
    assert "it is not used" in caplog.text
