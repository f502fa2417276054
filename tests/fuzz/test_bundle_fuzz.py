"""Bundles that anybody may have written: one that opens is sound, every other is one line."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mutations import FUZZED, altered, checked, damaged
from test_text_fuzz import BUNDLE

from rsna.config import CompetitionSpec, DataSpec, EnvSpec, ImagingSpec, InputSpec, ModelSpec, dump
from rsna.config.training import SchedulerSpec, TrainConfig
from rsna.inference import Bundle
from rsna.models import create_model, save_weights
from rsna.models.weights import load_weights
from rsna.tables import write_parquet

pytestmark = pytest.mark.fuzz
CONFIG = TrainConfig(
    "tiny",
    CompetitionSpec(),
    EnvSpec("data", "prepared"),
    SchedulerSpec("constant", "epoch"),
    data=DataSpec(ImagingSpec(height=64, width=32), InputSpec(height=48, width=32)),
    model=ModelSpec(backbone="test_resnet", pretrained=False),
)
WEIGHTS = "fold_0.safetensors"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a sound bundle, their checksums in the specification."""
    folder = tmp_path_factory.mktemp("bundle")
    torch.manual_seed(0)
    save_weights(create_model(CONFIG.model, CONFIG.data.input, 1), folder / WEIGHTS)
    (folder / "config.yaml").write_text(yaml.safe_dump(dump(CONFIG)))
    write_parquet(folder / "oof.parquet", pd.DataFrame({"image_id": ["1"], "pred_cancer": np.float32([0.5])}))
    write_spec(folder, BUNDLE)
    Bundle.open(folder)
    return folder


def write_spec(folder: Path, spec: Any) -> None:
    """Write `bundle.json` with the checksums of the files as they are."""
    if isinstance(spec, dict):
        spec = dict(spec, schema_version=1)
        for key, name in (("config_sha256", "config.yaml"), ("oof_sha256", "oof.parquet")):
            spec[key] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        members = spec.get("members")
        for member in members if isinstance(members, list) else []:
            if isinstance(member, dict):
                member["sha256"] = digest
    (folder / "bundle.json").write_text(json.dumps(spec))


def check_altered(bundle: Path, folder: Path, name: str, content: bytes | None, spec: Any) -> None:
    """Open a copy with another file and another specification; what opens must give its models."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bundle, folder)
    if content is not None:
        (folder / name).write_bytes(content)
    if spec is not None:
        write_spec(folder, spec)
    opened = checked(lambda: Bundle.open(folder))
    if opened is not None:
        assert len(opened.models()) == len(opened.spec.members)
        checked(opened.oof)


@FUZZED
@given(data=st.data())
def test_altered_specifications(bundle: Path, tmp_path: Path, data: st.DataObject) -> None:
    check_altered(bundle, tmp_path / "b", "", None, data.draw(altered(BUNDLE)))


SMALL = ["test_resnet", "test_vit", "test_convnext"]  # quick to build
NONE = ["hf-hub:timm/x", "local-dir:/tmp", "resnet", "", "x" * 5000, "../x"]


@FUZZED
@given(data=st.data())
def test_altered_configurations(bundle: Path, tmp_path: Path, data: st.DataObject) -> None:
    config = data.draw(altered(dump(CONFIG)))
    if isinstance(config, dict) and isinstance(config.get("model"), dict):
        config["model"]["backbone"] = data.draw(st.sampled_from(SMALL + NONE))
    text = yaml.safe_dump(config, allow_unicode=False).encode("utf-8", "replace")
    check_altered(bundle, tmp_path / "b", "config.yaml", text, BUNDLE)


@pytest.mark.parametrize("name", ["bundle.json", "config.yaml", "oof.parquet", WEIGHTS])
@FUZZED
@given(data=st.data())
def test_damaged_files_whose_checksums_are_right(bundle: Path, tmp_path: Path, name: str, data: st.DataObject) -> None:
    content = (bundle / name).read_bytes()
    spec = None if name == "bundle.json" else BUNDLE
    check_altered(bundle, tmp_path / "b", name, data.draw(damaged(content)), spec)


@FUZZED
@given(data=st.data())
def test_altered_headers_of_weights(bundle: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = (bundle / WEIGHTS).read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(data.draw(altered(json.loads(content[8:end])))).encode()
    path = tmp_path / WEIGHTS
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[end:])
    model = create_model(CONFIG.model, CONFIG.data.input, 1)
    checked(lambda: load_weights(model, path))
