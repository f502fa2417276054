"""A tiny bundle of two members with random weights, and the same with every engine that this machine can make."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from rsna.competitions import Threshold
from rsna.config import CompetitionSpec, DataSpec, EnvSpec, ImagingSpec, InputSpec, ModelSpec
from rsna.config.training import SchedulerSpec, TrainConfig
from rsna.inference import Bundle, BundleSpec, Member, write_bundle
from rsna.inference.predictions import prediction_table
from rsna.models import create_model, save_weights


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Without engines. GeM and its learnt exponent are the part that exporters find hard."""
    root = tmp_path_factory.mktemp("plain")
    config = TrainConfig(
        name="tiny",
        competition=CompetitionSpec(),
        env=EnvSpec(data="data", prepared="prepared"),
        scheduler=SchedulerSpec("constant", "epoch"),
        data=DataSpec(ImagingSpec(height=64, width=32), InputSpec(height=48, width=32)),
        model=ModelSpec(backbone="test_resnet", pretrained=False, pool="gem"),
        fold="all",
    )
    members = tuple(Member(f"fold_{fold}.safetensors", "", fold, 3, 0.8) for fold in (0, 1))
    files = [root / f"weights_{member.fold}.safetensors" for member in members]
    for seed, file in enumerate(files):
        torch.manual_seed(seed)
        save_weights(create_model(config.model, config.data.input, 1), file)
    table = pd.DataFrame({"image_id": ["1", "2"], "prediction_id": ["a", "b"], "fold": [0, 1]})
    oof = prediction_table(table, np.full((2, 1, 1), 0.3, np.float32), members[:1], ["cancer"])
    priors: dict[str, dict[str, float | dict[str, float]]] = {"cancer": {"overall": 0.02}}
    spec = BundleSpec("breast", "mean", Threshold(0.5, 0.4, 0.6, 0.7), members, ("none",), priors)
    return write_bundle(root / "bundle", spec, config, oof, files)


@pytest.fixture(scope="session")
def exported(plain: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With ONNX and OpenVINO."""
    import shutil

    pytest.importorskip("onnxscript")
    pytest.importorskip("openvino")
    from rsna.export import export_bundle

    folder = tmp_path_factory.mktemp("exported") / "bundle"
    shutil.copytree(plain.folder, folder)
    return export_bundle(folder, ["onnx", "openvino"])
