"""Starting from another run: what is taken, and when it is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.training import train
from rsna.training.run import build_module
from rsna.training.split import load_split

MakeConfig = Callable[..., TrainConfig]
pytestmark = pytest.mark.usefixtures("without_plots")


@pytest.fixture
def first(make_config: MakeConfig, tmp_path: Path) -> Path:
    """The folder of a finished run of fold 0."""
    train(make_config("name=first", "trainer.epochs=1"))
    return tmp_path / "runs/first/fold_0"


def start(config: TrainConfig) -> dict[str, torch.Tensor]:
    """The weights that a config's training would start with."""
    return build_module(config, load_split(config, int(config.fold))).model.state_dict()


def test_all_or_the_backbone_is_taken_and_said(
    first: Path, make_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    weights = load_file(first / "weights.safetensors")
    caplog.set_level(logging.INFO, "rsna")
    for named in ("first", str(first), str(first.parent)):
        found = start(make_config(f"model.init_from={named}"))
        assert all(found[name].equal(tensor) for name, tensor in weights.items())
    assert "left there: none; starting anew: none" in caplog.text
    other = make_config("model.init_from=first", "model.init_parts=backbone", "model.pool=concat")
    found = start(other)
    assert found["head.weight"].shape[1] == 2 * weights["head.weight"].shape[1]
    assert all(found[name].equal(tensor) for name, tensor in weights.items() if name.startswith("backbone."))
    assert "starting anew: head.bias, head.weight" in caplog.text


def test_a_run_that_saw_this_folds_patients_is_refused(first: Path, make_config: MakeConfig) -> None:
    config = make_config(f"model.init_from={first}", "fold=1", "name=second")
    with pytest.raises(InputError, match="was trained on 6 patients of this validation fold"):
        train(config)
    (first / "trained_on.parquet").unlink()  # an older run: what it held out must hold all of this side
    with pytest.raises(InputError, match="may have been trained on 12 images"):
        train(config)
    start(make_config(f"model.init_from={first}"))


def test_what_a_run_started_from_counts_too(first: Path, make_config: MakeConfig, tmp_path: Path) -> None:
    grown = pd.concat([pd.read_parquet(first / "trained_on.parquet"), pd.DataFrame({"group_id": ["elsewhere"]})])
    grown.to_parquet(first / "trained_on.parquet")
    train(make_config("name=second", "model.init_from=first", "trainer.epochs=1"))
    seen = set(pd.read_parquet(tmp_path / "runs/second/fold_0/trained_on.parquet")["group_id"])
    assert seen == {f"p{number}" for number in range(6, 18)} | {"elsewhere"}


def test_what_does_not_fit_or_is_not_there_is_refused(first: Path, make_config: MakeConfig) -> None:
    with pytest.raises(InputError, match=r"head\.weight is .*init_parts=backbone"):
        start(make_config("model.init_from=first", "model.pool=concat"))
    with pytest.raises(InputError, match=r"backbone\..* is missing"):
        start(make_config("model.init_from=first", "model.init_parts=backbone", "model.backbone=test_convnext"))
    with pytest.raises(InputError, match="no run of that name"):
        start(make_config("model.init_from=nowhere"))
    (first / "metrics.json").unlink()
    with pytest.raises(InputError, match="not finished"):
        start(make_config("model.init_from=first"))
