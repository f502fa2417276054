"""The learning-rate and batch-size searches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.training.finders import Finding, find_batch_size, find_learning_rate, plot_finding


def test_the_rate_search_rises_over_its_range(make_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    finding = find_learning_rate(make_config("fold=all", "trainer.accumulate=2"), 1e-5, 1e-1, steps=12)
    rates = finding.trials["lr"].to_numpy()
    np.testing.assert_allclose(rates, np.geomspace(1e-5, 1e-1, 12)[: len(rates)])
    assert np.isfinite(finding.trials["loss"].iloc[0])
    assert not (tmp_path / "runs").exists()  # a trial leaves nothing behind
    plot_finding(finding, tmp_path / "lr.png")
    assert (tmp_path / "lr.png").stat().st_size > 0


@pytest.mark.parametrize("arguments", [(0.0, 1.0, 20), (1.0, 0.1, 20), (1e-6, 1.0, 5)])
def test_a_rate_search_without_a_range_is_refused(
    make_config: Callable[..., TrainConfig], arguments: tuple[float, float, int]
) -> None:
    with pytest.raises(InputError, match="rise"):
        find_learning_rate(make_config(), *arguments)


def test_the_batch_search_doubles(make_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    finding = find_batch_size(make_config(), largest=4)
    assert finding.trials["batch_size"].tolist() == [1, 2, 4]
    assert (finding.trials["images_per_second"] > 0).all()
    assert finding.suggestion in (1, 2, 4)


def test_without_a_suggestion_the_figure_is_drawn_all_the_same(tmp_path: Path) -> None:
    plot_finding(Finding(pd.DataFrame({"lr": [1e-3, 1e-2], "loss": [1.0, 2.0]}), None), tmp_path / "lr.png")
    assert (tmp_path / "lr.png").is_file()
