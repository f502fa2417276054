"""The figures of a run: which ones there are, that they show something, and that hard inputs do not stop a training."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rsna.competitions.metrics import best_threshold
from rsna.plots import hardest_cases, write_run_plots
from rsna.plots.cases import side_by_side
from rsna.plots.history import plot_learning_rate, plot_loss, plot_metrics
from rsna.plots.scores import plot_precision_recall, plot_roc, plot_score_histogram, plot_threshold, truth_and_score

NAMES = ["loss", "metrics", "learning_rate", "roc", "precision_recall", "scores", "threshold", "hardest_cases"]


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """matplotlib warns of what would look wrong: an empty legend, a singular axis, a layout that does not fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        yield


def history(epochs: int) -> pd.DataFrame:
    epoch = np.arange(epochs)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train/loss": 0.7 - 0.05 * epoch,
            "valid/loss": 0.7 - 0.03 * epoch,
            "lr/backbone": 1e-3 * 0.1**epoch,
            "lr/head": 1e-2 * 0.1**epoch,
            "image/auc": 0.6 + 0.01 * epoch,
            "unit/auc": 0.65 + 0.01 * epoch,
            "unit/mean_auc": np.where(epoch % 2, np.nan, 0.4),
        }
    )


def units(count: int = 60, every: int = 6) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    target = (np.arange(count) % every == 0).astype(np.float32) if every else np.zeros(count, np.float32)
    score = np.clip(generator.normal(0.3 + 0.3 * target, 0.15), 0, 1).astype(np.float32)
    return pd.DataFrame({"prediction_id": [f"{i}_L" for i in range(count)], "target_cancer": target}).assign(
        pred_cancer=score
    )


def pictures(table: pd.DataFrame) -> dict[str, list[np.ndarray]]:
    generator = np.random.default_rng(0)
    return {str(i): [generator.integers(0, 2**16, (64, 32), np.uint16)] * 2 for i in table["prediction_id"]}


def colours(path: Path) -> int:
    """How many colours a picture has that are clearly not grey: what is drawn in the palette."""
    pixels = np.asarray(Image.open(path).convert("RGB"), np.int16).reshape(-1, 3)
    return len(np.unique(pixels[np.ptp(pixels, axis=1) > 60], axis=0))


def test_a_run_has_all_figures(tmp_path: Path) -> None:
    table = units()
    threshold = best_threshold(table["target_cancer"], table["pred_cancer"])
    paths = write_run_plots(tmp_path, history(5), table, threshold, pictures(table))
    assert paths == [tmp_path / "plots" / f"{name}.png" for name in NAMES]
    for path in paths:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert min(image.size) >= 400
        assert colours(path) > 0, f"{path.name} shows nothing"


def test_same_input_same_bytes(tmp_path: Path) -> None:
    table = units()
    for name in "ab":
        write_run_plots(tmp_path / name, history(2), table, None, pictures(table))
    for path in (tmp_path / "a" / "plots").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "plots" / path.name).read_bytes()


@pytest.mark.parametrize("every", [0, 1], ids=["no positive", "no negative"])
@pytest.mark.parametrize("epochs", [0, 1])
def test_one_class_and_hardly_any_epoch(tmp_path: Path, every: int, epochs: int) -> None:
    table = units(every=every)
    paths = write_run_plots(tmp_path, history(epochs), table, None, pictures(table))
    assert [path.stem for path in paths] == NAMES
    assert colours(tmp_path / "plots" / "roc.png") == 0
    assert colours(tmp_path / "plots" / "scores.png") > 0


def test_predictions_that_are_all_unknown(tmp_path: Path) -> None:
    table = units().assign(pred_cancer=np.nan)
    paths = write_run_plots(tmp_path, history(1), table, None, pictures(table))
    assert [path.stem for path in paths] == NAMES


def test_without_pictures_or_targets_the_rest_is_drawn(tmp_path: Path) -> None:
    assert [p.stem for p in write_run_plots(tmp_path, history(1), units(), None, {})] == NAMES[:-1]
    hidden = units().drop(columns="target_cancer")
    assert [p.stem for p in write_run_plots(tmp_path, history(1), hidden, None, {})] == NAMES[:3]


def test_every_target_has_its_curve(tmp_path: Path) -> None:
    one, two = units(), units().assign(target_implant=units(every=2)["target_cancer"], pred_implant=0.5)
    for plot in (plot_roc, plot_precision_recall):
        assert colours(plot(tmp_path / "two.png", two)) > colours(plot(tmp_path / "one.png", one))


def test_the_threshold_is_drawn(tmp_path: Path) -> None:
    table = units()
    threshold = best_threshold(table["target_cancer"], table["pred_cancer"])
    for plot in (plot_score_histogram, plot_threshold):
        with_it, without = plot(tmp_path / "with.png", table, threshold), plot(tmp_path / "without.png", table, None)
        assert with_it.read_bytes() != without.read_bytes()


def test_columns_find_their_figure(tmp_path: Path) -> None:
    table = history(3)
    loss, rate = ["train/loss", "valid/loss"], ["lr/backbone", "lr/head"]
    for plot, columns in ((plot_loss, loss), (plot_learning_rate, rate), (plot_metrics, ["image/auc", "unit/auc"])):
        alone = plot(tmp_path / "alone.png", table[["epoch", *columns]]).read_bytes()
        others = [name for name in (*loss, *rate, "image/auc", "unit/auc") if name not in columns]
        rest = plot(tmp_path / "rest.png", table[["epoch", *others]]).read_bytes()
        assert plot(tmp_path / "all.png", table.drop(columns="unit/mean_auc")).read_bytes() == alone != rest


def test_hardest_cases() -> None:
    table = pd.DataFrame(
        [("a", 1, 0.9), ("b", 1, 0.1), ("c", 1, 0.2), ("d", 0, 0.8), ("e", 0, 0.3), ("f", 0, 0.9), ("g", np.nan, 1)],
        columns=["prediction_id", "target_cancer", "pred_cancer"],
    )
    table.loc[len(table)] = ("h", 1, np.nan)
    found = hardest_cases(table, count=2)
    assert found.to_dict("records") == [
        {"prediction_id": "b", "kind": "positive", "score": 0.1},
        {"prediction_id": "c", "kind": "positive", "score": 0.2},
        {"prediction_id": "f", "kind": "negative", "score": 0.9},
        {"prediction_id": "d", "kind": "negative", "score": 0.8},
    ]


def test_unknown_and_soft_targets() -> None:
    table = pd.DataFrame({"target_x": [0.9, 0.2, np.nan, 1.0], "pred_x": [0.5, 0.4, 0.3, np.nan]})
    truth, score = truth_and_score(table, "x")
    assert truth.tolist() == [True, False]
    assert score.tolist() == [0.5, 0.4]


def test_side_by_side() -> None:
    joined = side_by_side([np.full((2, 3), 7, np.uint8), np.full((4, 1), 9, np.uint8)])
    assert joined.tolist() == [[7, 7, 7, 9, 9], [7, 7, 7, 9, 9], [0, 0, 0, 9, 9], [0, 0, 0, 9, 9]]
