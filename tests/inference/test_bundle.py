"""The bundle: what is written is read back, and nothing wrong gets through."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from rsna.config import ModelSpec
from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.inference import Bundle, BundleSpec
from rsna.inference.schema import SCHEMA_VERSION, SINCE, read_spec
from rsna.io import digest, sha256_file
from rsna.models import create_model, load_weights, save_weights


def edit(folder: Path, change: Callable[[dict], None]) -> None:
    """Change `bundle.json` in place."""
    path = folder / "bundle.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_what_is_written_is_read_back(bundle: Bundle, config: TrainConfig, oof: pd.DataFrame) -> None:
    again = Bundle.open(bundle.folder)
    assert again == bundle
    assert again.config == config
    assert again.targets == ["cancer"]
    assert again.prior == [0.02]
    pd.testing.assert_frame_equal(again.oof(), oof)
    assert sorted(path.name for path in bundle.folder.iterdir()) == [
        "bundle.json",
        "config.yaml",
        "fold_0.safetensors",
        "fold_1.safetensors",
        "oof.parquet",
    ]
    assert again.spec.files()["fold_1.safetensors"] == sha256_file(bundle.folder / "fold_1.safetensors")
    assert not list(bundle.folder.parent.glob(".part-*"))


def test_a_configuration_that_asks_for_gigabytes_is_refused_without_taking_them(
    make_bundle: Callable[..., Bundle], config: TrainConfig
) -> None:
    def status(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(name))

    giant = ModelSpec(backbone="vit_giant_patch14_224", pretrained=False)  # 4 GB, and 8 GB of positions
    size = replace(config.data.input, height=16384, width=16384)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = status("VmRSS")
    with pytest.raises(InputError, match="do not fit the model"):
        make_bundle(config=replace(config, model=giant, data=replace(config.data, input=size)))
    assert status("VmHWM") < before + 500


def test_models_have_the_weights_of_their_members(bundle: Bundle, config: TrainConfig, weights: list[Path]) -> None:
    for model, file in zip(bundle.models(), weights, strict=True):
        expected = create_model(config.model, config.data.input, 1)
        load_weights(expected, file)
        for name, value in expected.state_dict().items():
            assert torch.equal(model.state_dict()[name], value)


def test_the_digest_follows_the_content_and_nothing_else(
    bundle: Bundle, make_bundle: Callable[..., Bundle], spec: BundleSpec, weights: list[Path], tmp_path: Path
) -> None:
    same = make_bundle(folder=tmp_path / "same", spec=replace(spec, commit="abc", dirty=True))
    swapped = make_bundle(folder=tmp_path / "swapped", weights=weights[::-1])
    stricter = make_bundle(folder=tmp_path / "stricter", spec=replace(spec, tta=("none", "hflip")))
    assert same.spec.digest == bundle.spec.digest
    assert len({bundle.spec.digest, swapped.spec.digest, stricter.spec.digest}) == 3


OLD = Path(__file__).parent / "fixtures" / "bundle_v1.json"


def test_a_bundle_of_version_1_keeps_its_digest_and_gets_the_steps_of_today(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text(OLD.read_text())
    spec = read_spec(tmp_path)
    assert spec.digest == "99011c4c147b574ee169eb6d07afcec22ec8d8535c613a321292f6c89c9a329c"
    assert spec.step_down == ("no-tta", "half-members", "one-member", "half-resolution")
    content = json.loads(OLD.read_text())
    (tmp_path / "bundle.json").write_text(json.dumps(content | {"step_down": []}))
    with pytest.raises(InputError, match="schema version 1 has no step_down"):
        read_spec(tmp_path)


def test_a_bundle_of_version_2_keeps_its_digest_and_has_no_detector(tmp_path: Path) -> None:
    content = json.loads((OLD.parent / "bundle_v2.json").read_text())
    (tmp_path / "bundle.json").write_text(json.dumps(content))
    spec = read_spec(tmp_path)
    assert spec.digest == "bfdd7a7ac1f71943454d8b8daf3f7b9b262af230e822920496a8e9dbe6113a32"
    assert spec.detector is None
    (tmp_path / "bundle.json").write_text(json.dumps(content | {"detector": None}))
    with pytest.raises(InputError, match="schema version 2 has no detector"):
        read_spec(tmp_path)


def test_a_bundle_written_as_version_1_opens(bundle: Bundle) -> None:
    def age(content: dict) -> None:
        content["schema_version"] = 1
        for key in SINCE:
            del content[key]

    edit(bundle.folder, age)
    again = Bundle.open(bundle.folder)
    assert again.spec.schema_version == 1
    assert again.spec.step_down == bundle.spec.step_down
    assert again.spec.digest != bundle.spec.digest


def test_the_steps_are_part_of_the_content(
    bundle: Bundle, make_bundle: Callable[..., Bundle], spec: BundleSpec
) -> None:
    other = make_bundle(spec=replace(spec, step_down=("one-member",)), overwrite=True)
    assert other.spec.digest != bundle.spec.digest
    edit(bundle.folder, lambda content: content.update(step_down=["less"]))
    with pytest.raises(InputError, match="'less' is not one of no-tta, half-members"):
        Bundle.open(bundle.folder)


def test_the_digest_can_be_computed_from_the_file_alone(bundle: Bundle) -> None:
    content = json.loads((bundle.folder / "bundle.json").read_text())
    for key in ("commit", "dirty", "created"):
        del content[key]
    assert digest(content) == bundle.spec.digest


def test_another_bundle_than_the_expected_one_is_refused(bundle: Bundle) -> None:
    assert Bundle.open(bundle.folder, bundle.spec.digest) == bundle
    with pytest.raises(InputError, match="expected was 000000000000"):
        Bundle.open(bundle.folder, "0" * 64)


def test_the_same_content_is_left_alone_and_other_content_needs_a_word(
    bundle: Bundle, make_bundle: Callable[..., Bundle], spec: BundleSpec
) -> None:
    written = (bundle.folder / "bundle.json").stat().st_mtime_ns
    make_bundle()
    assert (bundle.folder / "bundle.json").stat().st_mtime_ns == written
    other = replace(spec, aggregation="max")
    with pytest.raises(InputError, match="already holds another bundle"):
        make_bundle(spec=other)
    assert Bundle.open(bundle.folder).spec.aggregation == "mean"
    assert make_bundle(spec=other, overwrite=True).spec.aggregation == "max"
    assert not list(bundle.folder.parent.glob(".part-*"))


def test_a_bundle_of_an_older_schema_can_be_replaced(bundle: Bundle, make_bundle: Callable[..., Bundle]) -> None:
    edit(bundle.folder, lambda content: content.update(schema_version=0))
    with pytest.raises(InputError, match="add --overwrite"):
        make_bundle()
    assert make_bundle(overwrite=True).spec == replace(bundle.spec, created=make_bundle().spec.created)


def test_a_folder_that_is_no_bundle_is_never_replaced(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "thesis.tex").write_text("three years of work")
    with pytest.raises(InputError, match="exists and is no bundle"):
        make_bundle(overwrite=True)
    assert (tmp_path / "bundle" / "thesis.tex").is_file()


def test_a_bundle_that_would_not_open_is_not_written(
    make_bundle: Callable[..., Bundle], config: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="do not fit the model"):
        make_bundle(config=replace(config, model=ModelSpec(backbone="test_vit", pretrained=False)))
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(schema_version=SCHEMA_VERSION + 1), "schema version 4, this program reads 1 to 3; update"),
        (lambda c: c.update(schema_version=0), "schema version 0, this program reads 1 to 3; collect the bundle again"),
        (lambda c: c.pop("schema_version"), "schema version None"),
        (lambda c: c["members"][0].update(sha256="0" * 64), "fold_0.safetensors has the checksum .*000000000000"),
        (lambda c: c.update(oof_sha256="0" * 64), "oof.parquet has the checksum"),
        (lambda c: c["members"][0].update(file="../fold_0.safetensors"), "not a plain file name"),
        (lambda c: c["members"][0].update(file="/fold_0.safetensors"), "not a plain file name"),
        (lambda c: c["members"][0].update(file="..\\fold_0.safetensors"), "not a plain file name"),
        (lambda c: c["members"][0].update(file="fold_0.pth"), "ending in .safetensors"),
        (lambda c: c["members"][0].update(file="fold_1.safetensors"), "share one file"),
        (lambda c: c["members"][0].update(pickle="x"), "unknown key.s. pickle; valid keys: file, sha256"),
        (lambda c: c.update(members=[]), "at least one member"),
        (lambda c: c.update(aggregation="mode"), "'mode' is not one of mean, max, min, median"),
        (lambda c: c.update(tta=["rot90"]), "'rot90' is not one of none, hflip, vflip"),
        (lambda c: c.update(competition="chess"), "is for chess but its configuration for breast"),
        (lambda c: c.update(priors={"mass": {"overall": 0.1}}), "priors must be of cancer"),
        (lambda c: c.update(priors={"cancer": {}}), "cancer lacks its overall rate"),
        (lambda c: c["priors"]["cancer"].update(overall=float("inf")), "not JSON compliant"),
        (lambda c: c["threshold"].update(value=float("nan")), "NaN is not JSON compliant"),
        (lambda c: c["threshold"].update(value="high"), "threshold.value: expected a number"),
    ],
)
def test_a_wrong_specification_is_one_clear_line(bundle: Bundle, change: Callable[[dict], None], message: str) -> None:
    edit(bundle.folder, change)
    with pytest.raises(InputError, match=message) as caught:
        Bundle.open(bundle.folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.yaml", "oof.parquet", "fold_1.safetensors"])
def test_a_missing_or_altered_file_is_named(bundle: Bundle, name: str) -> None:
    path = bundle.folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{name} has the checksum .* altered"):
        Bundle.open(bundle.folder)
    path.unlink()
    with pytest.raises(InputError, match=f"lacks the file {name}"):
        Bundle.open(bundle.folder)


def test_an_unknown_configuration_key_is_named(bundle: Bundle) -> None:
    path = bundle.folder / "config.yaml"
    path.write_text(path.read_text() + "_target_: os.system\n")
    edit(bundle.folder, lambda content: content.update(config_sha256=sha256_file(path)))
    with pytest.raises(InputError, match=r"config.yaml: unknown key\(s\) _target_"):
        Bundle.open(bundle.folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not tensors", "is not a safetensors file"),
        (None, "do not fit the model: head.weight is .3, 96., not .1, 96."),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    bundle: Bundle, config: TrainConfig, content: bytes | None, message: str
) -> None:
    path = bundle.folder / "fold_0.safetensors"
    if content is None:
        save_weights(create_model(config.model, config.data.input, 3), path)
    else:
        path.write_bytes(content)
    edit(bundle.folder, lambda spec: spec["members"][0].update(sha256=sha256_file(path)))
    with pytest.raises(InputError, match=message):
        Bundle.open(bundle.folder)


def test_no_bundle_at_all(tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(InputError, match=r"is not a model bundle: it has no bundle\.json"):
        Bundle.open(tmp_path)
    (bundle.folder / "bundle.json").write_text("[1, 2")
    with pytest.raises(InputError, match="not valid JSON"):
        Bundle.open(bundle.folder)
    (bundle.folder / "bundle.json").write_text("[1, 2]")
    with pytest.raises(InputError, match="schema version None"):
        Bundle.open(bundle.folder)


def test_a_bundle_may_be_moved_and_linked(bundle: Bundle, tmp_path: Path) -> None:
    shutil.move(bundle.folder, tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert Bundle.open(tmp_path / "link").spec == bundle.spec
