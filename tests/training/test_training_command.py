"""`rsna train` and `rsna find` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsna.cli.app import app
from rsna.errors import InputError

RUNNER = CliRunner()


@pytest.mark.usefixtures("without_plots")
def test_train_prints_the_metrics_and_then_that_it_is_done(tiny_overrides: list[str]) -> None:
    first, second = (RUNNER.invoke(app, ["train", *tiny_overrides, "trainer.epochs=1"]) for _ in range(2))
    assert first.exit_code == second.exit_code == 0, first.output
    metrics = [line for line in first.stdout.splitlines() if line.startswith("unit/mean_auc")]
    assert len(metrics) == 1
    assert metrics[0] in second.stdout


def test_find_writes_a_figure_and_a_suggestion(tiny_overrides: list[str], tmp_path: Path) -> None:
    figure = tmp_path / "batch.png"
    result = RUNNER.invoke(app, ["find", "batch-size", *tiny_overrides, "--largest", "2", "--out", str(figure)])
    assert result.exit_code == 0, result.output
    assert "suggestion: trainer.batch_size=" in result.stdout
    assert figure.is_file()
    result = RUNNER.invoke(app, ["find", "lr", *tiny_overrides, "--steps", "10", "--out", str(tmp_path / "lr.png")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "lr.png").is_file()


@pytest.mark.parametrize("overrides", [["no_such_key=1"], ["experiment=no/such"], ["--multirun", "seed=1"]])
def test_a_wrong_override_is_an_input_error(tiny_overrides: list[str], overrides: list[str]) -> None:
    result = RUNNER.invoke(app, ["train", *tiny_overrides, *overrides])
    assert isinstance(result.exception, InputError)
    assert result.exception.exit_status == 2
