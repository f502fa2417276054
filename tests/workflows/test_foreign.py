"""Weights that somebody else trained: read without running anything, renamed, fitted exactly, and made a bundle."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from rsna.cli.app import main
from rsna.config import InputSpec, ModelSpec
from rsna.config.compose import compose
from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.inference import Bundle, PredictOptions, check_oof, predict_oof
from rsna.models import create_model, load_weights, save_weights
from rsna.models.foreign import read_foreign, rename_tensors
from rsna.models.weights import misfits
from rsna.workflows.foreign import import_bundle

SPEC, SIZE = ModelSpec(backbone="test_resnet", pretrained=False, pool="avg"), InputSpec(height=64, width=32)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(3)
    return create_model(SPEC, SIZE, 1)


def _state(model: nn.Module) -> dict[str, torch.Tensor]:
    return dict(model.state_dict())


@pytest.mark.parametrize("wrap", [("state_dict",), ("model",), ("state_dict_ema",), ()])
@pytest.mark.parametrize("prefix", ["", "module.", "module.model."])
def test_wrappers_and_shared_prefixes_go(model: nn.Module, tmp_path: Path, wrap: tuple[str, ...], prefix: str) -> None:
    content: dict = {prefix + name: tensor for name, tensor in _state(model).items()}
    for key in wrap:
        content = {key: content, "epoch": 3}
    torch.save(content, tmp_path / "x.pth")
    tensors = rename_tensors(read_foreign(tmp_path / "x.pth"), model)
    assert misfits(model, tensors) == []
    assert all(torch.equal(tensors[name], tensor) for name, tensor in _state(model).items())


def test_ema_weights_are_taken_first(model: nn.Module, tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1)}, "state_dict_ema": {"a": torch.ones(1)}}, tmp_path / "x.pth")
    assert read_foreign(tmp_path / "x.pth")["a"].item() == 1


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext"])
def test_a_plain_timm_model_fits(backbone: str, tmp_path: Path) -> None:
    theirs = timm.create_model(backbone, num_classes=1, in_chans=1)
    size = theirs.pretrained_cfg["input_size"][1]
    ours = create_model(ModelSpec(backbone=backbone, pretrained=False, pool="avg"), InputSpec(size, size, 1), 1)
    torch.save(theirs.state_dict(), tmp_path / "x.pth")
    tensors = rename_tensors(read_foreign(tmp_path / "x.pth"), ours)
    assert misfits(ours, tensors) == []
    assert "head.weight" in tensors


def test_prefixes_can_be_renamed_and_left_out(model: nn.Module) -> None:
    theirs = {name.replace("backbone.", "encoder.").replace("head.", "fc.out."): t for name, t in _state(model).items()}
    theirs["aux.weight"] = torch.zeros(3)
    tensors = rename_tensors(theirs, model, [("encoder.", "backbone."), ("fc.out.", "head."), ("aux.", "")])
    assert misfits(model, tensors) == []


class Evil:
    """What a pickle may hold."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("evil-was-here",)


def test_what_a_file_holds_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(1)}, "extra": Evil()}, "x.pth")
    with pytest.raises(InputError, match="holds more than tensors"):
        read_foreign(Path("x.pth"))
    Path("y.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match=r"y\.pth"):
        read_foreign(Path("y.pth"))
    assert not Path("evil-was-here").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q\x00.", b"not weights"])
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.pth"):
        read_foreign(tmp_path / "x.pth")
    with pytest.raises(InputError, match="there are no weights"):
        read_foreign(tmp_path / "y.pth")


@pytest.fixture
def config(trained: Path, tmp_path: Path) -> TrainConfig:
    """Of the runs of the fixture `trained`, under another name."""
    places = [
        f"env.data={trained}/data",
        f"env.prepared={trained}/prepared",
        "env.workers=0",
        f"env.runs={tmp_path}/runs",
    ]
    size = ["data.imaging.height=96", "data.imaging.width=64", "data.input.height=64", "data.input.width=32"]
    return compose(TrainConfig, "train", ["debug=smoke", "name=foreign", "limit=0", "data=breast_256", *places, *size])


def _own_weights(trained: Path, config: TrainConfig, target: Path, fold: int) -> Path:
    """The weights of a trained fold as a foreigner would save them."""
    model = create_model(config.model, config.data.input, 1, pretrained=False)
    load_weights(model, trained / f"runs/tiny/fold_{fold}/weights.safetensors")
    torch.save({"state_dict": {f"module.{n}": t for n, t in model.state_dict().items()}}, target)
    return target


def test_foreign_weights_become_a_bundle_that_keeps_the_law(
    trained: Path, bundle: Bundle, config: TrainConfig, tmp_path: Path
) -> None:
    files = [_own_weights(trained, config, tmp_path / f"x{fold}.pth", fold) for fold in (0, 1)]
    made = import_bundle(files, [0, 1], config, tmp_path / "bundle")
    assert [member.fold for member in made.spec.members] == [0, 1]
    options = PredictOptions(workers=1, device="cpu")
    assert check_oof(made, predict_oof(made, trained / "data", options=options)) < 1e-4
    ours, theirs = (b.oof().sort_values("image_id")["pred_cancer"].to_numpy() for b in (bundle, made))
    assert abs(ours - theirs).max() < 1e-4
    with pytest.raises(InputError, match="its own name"):
        import_bundle(files, [0, 1], config, tmp_path / "other")


def test_weights_that_do_not_fit_are_listed(
    trained: Path, config: TrainConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = create_model(SPEC, InputSpec(height=64, width=32, channels=3), 1)
    save_weights(other, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match=r"does not fit .* \(\d+ tensors in all\)"):
        import_bundle([tmp_path / "x.safetensors"], [0], config, tmp_path / "bundle")
    assert any("is (" in record.message for record in caplog.records)  # the shape in the file, and ours
    assert not (tmp_path / "bundle").exists()
    assert not (tmp_path / "runs").exists()
    with pytest.raises(InputError, match="as many different folds"):
        import_bundle([tmp_path / "x.safetensors"], [0, 1], config, tmp_path / "bundle")


def test_the_command(trained: Path, config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _own_weights(trained, config, tmp_path / "x.pth", 1)
    places = {"env.data": trained / "data", "env.prepared": trained / "prepared", "env.runs": tmp_path / "runs"}
    size = {"data.imaging.height": 96, "data.imaging.width": 64, "data.input.height": 64, "data.input.width": 32}
    values = {"debug": "smoke", "name": "foreign", "limit": 0, "data": "breast_256", "env.workers": 0, **places, **size}
    overrides = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    with pytest.raises(SystemExit) as ended:
        main(["bundle", "import", str(file), "--fold", "1", "--out", str(tmp_path / "bundle"), *overrides])
    assert not ended.value.code, capsys.readouterr().err
    assert Bundle.open(tmp_path / "bundle").spec.members[0].fold == 1
