"""The classifier over the families of timm backbones, its pooling, and its weights in files."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from rsna.config import InputSpec, ModelSpec
from rsna.errors import InputError, RsnaError
from rsna.models import GlobalPool, create_model, load_weights, save_weights

INPUT = InputSpec(height=96, width=64)
FAMILIES = [  # NCHW, NHWC and tokens; with a hidden layer after pooling; with fixed input sizes
    *(
        "test_resnet",
        "test_efficientnet",
        "test_byobnet",
        "test_convnext",
        "test_nfnet",
        "test_mambaout",
        "test_maxvit",
    ),
    *("test_vit", "test_vit3", "mobilenetv3_small_050", "lcnet_035", "mixer_s16_224", "edgenext_xx_small"),
    *("swin_tiny_patch4_window7_224", "deit3_small_patch16_224", "davit_tiny", "hgnet_tiny", "focalnet_tiny_srf"),
]
FIXED = {"mixer_s16_224": 224}  # without a way to tell timm another size


@pytest.mark.parametrize("backbone", FAMILIES)
@pytest.mark.parametrize("pool", ["avg", "gem"])
def test_any_backbone_gives_one_logit_per_sample_and_output(backbone: str, pool: str) -> None:
    side = FIXED.get(backbone, 0)
    size = InputSpec(height=side or 256, width=side or 128, channels=1)
    with torch.device("meta"):
        model = create_model(ModelSpec(backbone, pretrained=False, pool=pool), size, outputs=3)
        # shape: (B, V, C, H, W) -> (B, T)
        assert model(torch.zeros(2, 1, 1, size.height, size.width)).shape == (2, 3)


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        ("avg", [2.0, 1.0]),
        ("max", [4.0, 3.0]),
        ("avgmax", [3.0, 2.0]),
        ("concat", [2.0, 1.0, 4.0, 3.0]),
        ("gem_channel", [(66 / 3) ** (1 / 3), (27 / 3) ** (1 / 3)]),
        ("gem", [(66 / 3) ** (1 / 3), (27 / 3) ** (1 / 3)]),  # the cubic mean
    ],
)
def test_pooling(pool: str, expected: list[float]) -> None:
    features = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [4.0, 3.0]]])  # shape: (B=1, places=3, F=2)
    module = GlobalPool(pool, features=2)
    assert_close(module(features), torch.tensor([expected]))
    assert module.outputs == len(expected)


def test_gem_learns_its_exponent_and_survives_zeros_and_half_precision() -> None:
    pool = GlobalPool("gem")
    pool(torch.zeros(1, 4, 2)).sum().backward()
    assert pool.exponent.grad is not None
    assert torch.isfinite(pool.exponent.grad)
    assert torch.isfinite(pool(torch.full((1, 4, 2), 60.0, dtype=torch.float16))).all()


def test_gem_may_learn_an_exponent_per_feature() -> None:
    pool = GlobalPool("gem_channel", features=2)
    with torch.no_grad():
        pool.exponent.copy_(torch.tensor([1.0, 30.0]))
    features = torch.tensor([[[1.0, 1.0], [3.0, 3.0]]])  # (B=1, places=2, F=2)
    assert_close(pool(features), torch.tensor([[2.0, 3.0 / 2 ** (1 / 30)]]))  # the mean, nearly the maximum


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(InputError, match="avgmax"):
        GlobalPool("median")


def test_class_tokens_are_not_pooled() -> None:
    model = create_model(ModelSpec("test_vit", pretrained=False, pool="max"), INPUT, 1).eval()
    tokens = model.backbone(torch.zeros(1, 1, INPUT.height, INPUT.width))
    assert model._places(tokens).shape[1] == tokens.shape[1] - 1 == (96 // 16) * (64 // 16)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ModelSpec("resnet999", pretrained=False), "has no 'resnet999'"),
        (ModelSpec("resnet18.no_such_tag", pretrained=False), "no_such_tag"),
        (ModelSpec("vgg11", pretrained=False, drop_path=0.1), "drop_path"),
        (ModelSpec("mixer_s16_224", pretrained=False), "224x224 only"),
        (ModelSpec("crossvit_9_240", pretrained=False), "feature map"),
        (ModelSpec("test_vit4", pretrained=True), "model.pretrained=false"),
        (ModelSpec("resnet18", weights="no/such.safetensors"), r"no/such\.safetensors"),
    ],
)
def test_a_wrong_spec_is_one_clear_error(spec: ModelSpec, message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model(spec, INPUT, 1)


def test_without_a_network_the_advice_is_clear(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RsnaError, match=r"model\.pretrained=false, or from a file") as caught:
        create_model(ModelSpec("test_resnet.r160_in1k", pretrained=True), INPUT, 1)
    assert caught.value.exit_status == 1


def test_weights_of_timm_come_from_a_file_with_their_channels_summed(tmp_path: Path) -> None:
    original = timm.create_model("test_resnet")
    save_file(original.state_dict(), tmp_path / "w.safetensors")
    model = create_model(ModelSpec("test_resnet", weights=str(tmp_path / "w.safetensors")), INPUT, 1)
    own, theirs = model.backbone.state_dict(), original.state_dict()
    assert_close(own["conv1.0.weight"], theirs["conv1.0.weight"].sum(1, keepdim=True))
    assert_close(own["layer1.0.conv1.weight"], theirs["layer1.0.conv1.weight"])


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_file(timm.create_model("test_efficientnet").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="does not fit test_resnet"):
        create_model(ModelSpec("test_resnet", weights=str(tmp_path / "w.safetensors")), INPUT, 1)


def test_a_model_comes_back_from_its_file(tmp_path: Path) -> None:
    spec = ModelSpec("test_resnet", pretrained=False, pool="gem")
    first, second = (create_model(spec, INPUT, 2).eval() for _ in range(2))
    save_weights(first, tmp_path / "w.safetensors")
    load_weights(second, tmp_path / "w.safetensors")
    images = torch.randn(2, 1, 1, 96, 64)
    assert_close(second(images), first(images), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("head.bias"), "head.bias is missing"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "extra is not part of the model"),
        (lambda tensors: tensors.update({"head.bias": torch.zeros(7)}), r"head.bias is \(7,\), not \(2,\)"),
    ],
)
def test_weights_must_fit_exactly(tmp_path: Path, change: object, message: str) -> None:
    model = create_model(ModelSpec("test_resnet", pretrained=False), INPUT, 2)
    tensors = dict(model.state_dict())
    change(tensors)  # type: ignore[operator]
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=message):
        load_weights(model, tmp_path / "w.safetensors")


@pytest.mark.parametrize("content", [None, b"", b"no safetensors"])
def test_broken_weights_are_an_input_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"w\.safetensors"):
        load_weights(create_model(ModelSpec("test_resnet", pretrained=False), INPUT, 1), path)
