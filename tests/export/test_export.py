"""Engines: equal to torch within 1e-3 whatever the batch, part of the bundle, and not used where they are not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rsna.config import InputSpec, ModelSpec, ViewsSpec
from rsna.errors import InputError, RsnaError
from rsna.export import export_bundle
from rsna.export.bundle import input_shape
from rsna.export.onnx import export_onnx
from rsna.inference import Bundle, Predictor
from rsna.inference.engine_spec import ENGINE_LAW, EngineSpec
from rsna.inference.engines import Stacked, choose_engine, load_engine, obstacle, tensorrt_target
from rsna.io import digest
from rsna.models import create_model

CPU = torch.device("cpu")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "openvino"])
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_an_engine_gives_what_torch_gives(exported: Bundle, kind: str, batch: int) -> None:
    spec = next(engine for engine in exported.spec.engines if engine.kind == kind)
    engine = load_engine(exported.folder, spec, CPU)
    images = torch.randn(batch, *input_shape(exported), generator=torch.Generator().manual_seed(batch))
    with torch.inference_mode():
        expected = Stacked(exported.models()).eval()(images)
    found = engine(images)
    assert found.shape == (batch, 2, 1)
    assert (found.sigmoid() - expected.sigmoid()).abs().max() < ENGINE_LAW
    assert expected[:, 0].sub(expected[:, 1]).abs().min() > 1e-3  # or the members' order would not show


@pytest.mark.slow
def test_engines_are_part_of_the_bundle(exported: Bundle, plain: Bundle, tmp_path: Path) -> None:
    assert exported.spec.digest != plain.spec.digest
    content = json.loads((exported.folder / "bundle.json").read_text())
    assert digest({k: v for k, v in content.items() if k not in ("commit", "dirty", "created")}) == exported.spec.digest
    assert sorted(Path(name).suffix for name in set(exported.spec.files()) - set(plain.spec.files())) == [
        ".bin",
        ".onnx",
        ".xml",
    ]
    assert all(engine.distance < ENGINE_LAW for engine in exported.spec.engines)
    broken = Path(shutil.copytree(exported.folder, tmp_path / "broken"))
    next(broken.glob("*.bin")).write_bytes(b"other weights")
    with pytest.raises(InputError, match=r"engine_.*\.bin has the checksum"):
        Bundle.open(broken)


@pytest.mark.slow
def test_an_engine_of_other_weights_is_never_chosen(exported: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    shape = (2, *input_shape(exported))
    swapped = exported.models()[::-1]
    engine, name = choose_engine(exported.folder, exported.spec.engines, lambda: swapped, shape, CPU, "auto")
    assert name == "torch"
    assert isinstance(engine, Stacked)
    with pytest.raises(RsnaError, match="lies up to"):
        choose_engine(exported.folder, exported.spec.engines, lambda: swapped, shape, CPU, "openvino")


@pytest.mark.slow
def test_the_choice_is_free_and_each_engine_can_be_asked_for(exported: Bundle) -> None:
    shape = (2, *input_shape(exported))
    for name in ("torch", "onnx", "openvino"):
        assert choose_engine(exported.folder, exported.spec.engines, exported.models, shape, CPU, name)[1] == name
    chosen = choose_engine(exported.folder, exported.spec.engines, exported.models, shape, CPU, "auto")[1]
    assert chosen in ("torch", "onnx", "openvino")


@pytest.mark.slow
def test_views_that_are_not_there_are_not_there_for_an_engine_either(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    views, size = ViewsSpec(layout="patient", fusion="attention", missing="mask"), InputSpec(height=48, width=32)
    spec = ModelSpec("test_resnet", pretrained=False, views=views, pool="gem_channel")
    models = [create_model(spec, size, 1).eval() for _ in range(2)]
    export_onnx(models, (views.count, 1, 48, 32), tmp_path / "engine.onnx")
    engine = load_engine(tmp_path, EngineSpec("onnx", {"engine.onnx": ""}), CPU)
    images = torch.randn(5, views.count, 1, 48, 32, generator=torch.Generator().manual_seed(0))
    images[1, 1] = images[2, 0] = images[3, 2:] = 0
    with torch.inference_mode():
        expected = Stacked(models).eval()(images)
    torch.testing.assert_close(engine(images), expected, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_the_predictor_takes_an_engine(exported: Bundle, kind: str) -> None:
    spec = next(engine for engine in exported.spec.engines if engine.kind == kind)
    engine, asked = load_engine(exported.folder, spec, CPU), []

    def counted(images: torch.Tensor) -> torch.Tensor:
        asked.append(len(images))
        return engine(images)

    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (64, 32)).astype(np.uint8) for _ in range(5)]
    pictures[3] = None
    seen, tta = exported.config.data.input, ("none", "hflip", "scale_90")
    plain = Predictor(exported.models(), seen, "cpu", 4, tta).predict(pictures)
    found = Predictor(exported.models(), seen, "cpu", 4, tta, engine=counted).predict(pictures)
    assert asked == [4] * 2 * len(tta)
    assert np.isnan(found[3]).all()
    np.testing.assert_allclose(found, plain, atol=ENGINE_LAW)


def test_what_cannot_be_is_one_line(plain: Bundle) -> None:
    shape = (2, *input_shape(plain))
    with pytest.raises(InputError, match="no engine 'tflite'; choose auto, torch"):
        choose_engine(plain.folder, (), plain.models, shape, CPU, "tflite")
    with pytest.raises(InputError, match="has no engine onnx; make one with `rsna export"):
        choose_engine(plain.folder, (), plain.models, shape, CPU, "onnx")
    with pytest.raises(InputError, match="no engine 'coreml'; choose onnx, openvino, tensorrt"):
        export_bundle(plain.folder, ["coreml"])
    files = {"engine.onnx": "0" * 64}
    with pytest.raises(ValueError, match=r"one file each of \.xml, \.bin"):
        EngineSpec("openvino", files)
    with pytest.raises(ValueError, match="plain names"):
        EngineSpec("onnx", {"../engine.onnx": "0" * 64})
    with pytest.raises(ValueError, match="two engines are of one kind"):
        replace(plain.spec, engines=(EngineSpec("onnx", files), EngineSpec("onnx", files)))


def test_a_missing_runtime_is_said(plain: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = EngineSpec("onnx", {"engine.onnx": "0" * 64})
    monkeypatch.setattr("rsna.inference.engines.find_spec", lambda _: None)
    assert "pip install onnxruntime" in obstacle(spec, CPU)
    with pytest.raises(InputError, match="--engine torch"):
        load_engine(plain.folder, spec, CPU)
    chosen = choose_engine(plain.folder, (spec,), plain.models, (2, *input_shape(plain)), CPU, "auto")
    assert chosen[1] == "torch"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_tensorrt_needs_a_gpu(plain: Bundle) -> None:
    with pytest.raises(InputError, match="built on the GPU that it is for"):
        export_bundle(plain.folder, ["tensorrt"])
    assert Bundle.open(plain.folder).spec == plain.spec


@pytest.mark.skipif(not torch.cuda.is_available(), reason="a TensorRT plan needs a GPU of NVIDIA's")
def test_a_tensorrt_plan_gives_what_torch_gives(plain: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt")
    folder = Path(shutil.copytree(plain.folder, tmp_path / "bundle"))
    (spec,) = export_bundle(folder, ["tensorrt"], batch=4).spec.engines
    device = torch.device("cuda")
    assert spec.made_for == tensorrt_target(device)
    images = torch.randn(7, *input_shape(plain), device=device)  # more than a pass of the plan
    with torch.inference_mode():
        expected = Stacked(plain.models()).eval().to(device)(images)
    found = load_engine(folder, spec, device)(images)
    assert (found.sigmoid() - expected.sigmoid()).abs().max() < ENGINE_LAW
