"""Faults that are switched on, and what comes of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna import faults
from rsna.errors import InputError
from rsna.inference import Bundle, PredictOptions, predict_folder
from rsna.inference.run import note_small_shm


@pytest.fixture
def run(
    bundle: Bundle, competition: Path, tmp_path: Path, options: PredictOptions
) -> Callable[..., tuple[dict, np.ndarray]]:
    """Predict the tiny competition; the report and all predictions."""

    def predict(**changes: object) -> tuple[dict, np.ndarray]:
        report = predict_folder(bundle, competition, tmp_path / "out/s.csv", options=replace(options, **changes))
        return report, pd.read_parquet(tmp_path / "out/predictions.parquet")["pred_cancer"].to_numpy()

    return predict


def test_without_memory_the_batch_is_halved_and_nothing_is_lost(
    run: Callable[..., tuple[dict, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = run()
    monkeypatch.setenv("RSNA_FAULTS", "cuda-oom@1")
    report, found = run()
    np.testing.assert_allclose(found, whole, atol=1e-6)
    np.testing.assert_array_equal(found.reshape(2, 12)[:, :4], whole.reshape(2, 12)[:, :4])  # the batch before it
    assert report["notes"] == ["batch 1: the device is out of memory; 2 images at a time from now on"]
    assert report["filled"] == 0


def test_a_single_image_that_does_not_fit_is_an_error(
    run: Callable[..., tuple[dict, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSNA_FAULTS", "cuda-oom@1")
    with pytest.raises(RuntimeError, match="switched on"):
        run(batch_size=1)


def test_no_number_in_half_precision_is_made_again_in_full(
    run: Callable[..., tuple[dict, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, exact = run()
    _, half = run(amp=True)
    monkeypatch.setenv("RSNA_FAULTS", "nan-half@2")
    report, mended = run(amp=True)
    exact, half, mended = (values.reshape(2, 3, 4) for values in (exact, half, mended))  # member, batch, image
    np.testing.assert_array_equal(mended[:, :2], half[:, :2])
    np.testing.assert_array_equal(mended[:, 2], exact[:, 2])
    assert np.abs(half - exact).max() > 0
    assert report["notes"] == ["batch 2: mixed precision gives no number; made in full precision"]


def test_a_small_shm_is_noticed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "rsna")
    monkeypatch.setenv("RSNA_FAULTS", "small-shm@1")
    note_small_shm()
    assert caplog.text.count("/dev/shm has only") == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("decode-abort", r"numpy: the decoder crashed \(SIGABRT\)"),
        ("decode-memory", "numpy: MemoryError"),
        pytest.param("decode-hang", "numpy: took longer than 15 s", marks=pytest.mark.slow),
    ],
)
def test_a_decoder_that_fails_costs_its_own_image(
    run: Callable[..., tuple[dict, np.ndarray]], monkeypatch: pytest.MonkeyPatch, fault: str, reason: str
) -> None:
    _, whole = run()
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")
    monkeypatch.setenv("RSNA_FAULTS", f"{fault}@106")
    if fault == "decode-hang":
        monkeypatch.setattr("rsna.imaging.load.TIME_LIMIT", 15.0)
    report, found = run(workers=2, time_limit=1e6)
    (failed,) = report["failed"]
    assert (failed["image_id"], failed["filled_from"]) == ("106", "unit")
    assert re.search(reason, failed["reason"])
    others = np.arange(24) % 12 != 6
    np.testing.assert_array_equal(found[others], whole[others])


@pytest.mark.parametrize(("text", "message"), [("oom@3", "no fault 'oom'"), ("slow", "'slow' is not NAME@NUMBER")])
def test_a_fault_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.setenv("RSNA_FAULTS", text)
    with pytest.raises(InputError, match=message):
        faults.at("slow", 1)
