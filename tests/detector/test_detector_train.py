"""Training of the detector: it learns, goes on after a kill, and keeps patients apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from detecting import configure, places

from rsna.config.compose import compose
from rsna.config.detector import DetectConfig, DetectorSpec
from rsna.errors import InputError
from rsna.models.detector import Detector
from rsna.models.weights import read_weights
from rsna.preparation.detection.evaluate import evaluate, read_truth
from rsna.preparation.detection.networks import load_detector
from rsna.synthetic import BreastOptions, make_breast
from rsna.synthetic.truth import write_truth
from rsna.training.detection import train_detector
from rsna.training.detection.data import batch_count, batches, make_thumbnails, split_truth
from rsna.training.detection.fit import _Learner

pytest.importorskip("pycocotools")


def test_patients_are_on_one_side(lab: Path) -> None:
    training, held_out = split_truth(configure(lab, "split"))
    folders = [{path.parent.name for path in side.files.values()} for side in (training, held_out)]
    assert all(folders)
    assert not folders[0] & folders[1]
    assert {*training.files, *held_out.files} == {path.stem for path in (lab / "data" / "train_images").rglob("*.dcm")}


def test_a_killed_training_ends_as_an_undisturbed_one(run: Path, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, save = configure(lab, "killed", ["epochs=2"]), _Learner.save

    def killed(self: _Learner, path: Path, epochs: int) -> None:
        save(self, path, epochs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_Learner, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            train_detector(config)
    assert not (lab / "runs" / "killed" / "weights.safetensors").exists()
    assert set(train_detector(config)) == {"ap", "ap50", "ap75"}
    one, other = (read_weights(folder / "weights.safetensors") for folder in (run, lab / "runs" / "killed"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_folder_of_another_config_is_refused(run: Path, lab: Path) -> None:
    with pytest.raises(InputError, match="belongs to another config"):
        train_detector(configure(lab, run.name, ["epochs=3"]))


def test_a_damaged_checkpoint_is_named(lab: Path) -> None:
    config = configure(lab, "damaged")
    path = lab / "runs" / "damaged" / "last.ckpt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nothing that torch has written")
    with pytest.raises(InputError, match=r"damaged/last\.ckpt is no checkpoint"):
        train_detector(config)


def test_a_mirrored_picture_has_a_mirrored_box(lab: Path, tmp_path: Path) -> None:
    training, _ = split_truth(configure(lab, "mirror"))
    examples = make_thumbnails(training, tmp_path, workers=1)
    assert len(examples) == len(training.files)
    seen = 0
    for images, boxes in batches(examples, 4, seed=0, epoch=0):
        assert images.shape[1:] == (1, 416, 416)
        for image, (left, top, right, bottom) in zip(images[:, 0].numpy(), boxes.numpy(), strict=True):
            content = image.copy()
            content[image == 114] = 0
            inside = content[int(top) : int(bottom), int(left) : int(right)]
            assert inside.sum() > 0.75 * content.sum()
            seen += 1
    assert seen == len(examples) - (len(examples) % 4 == 1)


@pytest.mark.parametrize(("examples", "size", "count"), [(8, 4, 2), (9, 4, 2), (10, 4, 3), (2, 8, 1)])
def test_no_batch_holds_a_single_picture(examples: int, size: int, count: int) -> None:
    assert batch_count(examples, size) == count


def test_the_boxes_are_those_that_the_loss_wants() -> None:
    model, truth = Detector(DetectorSpec(channels=32)).eval(), torch.tensor([[64.0, 96.0, 256.0, 384.0]])
    sides = model.fcos.box_coder.encode(model.anchors, truth.expand(len(model.anchors), 4))[None]
    cells = torch.zeros(1, len(model.anchors), 1)
    perfect = {"bbox_regression": sides, "cls_logits": cells + 2.0, "bbox_ctrness": cells}
    model._predict = lambda images: perfect  # type: ignore[method-assign]
    images = torch.zeros(1, 1, 416, 416)
    boxes, scores = model(images)
    assert torch.allclose(boxes, truth.expand_as(boxes), atol=1e-3)
    assert torch.allclose(scores, torch.tensor(0.5 / (1 + np.exp(-2))).sqrt().float().expand_as(scores))
    assert float(model.losses(images, truth)["bbox_regression"]) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["detector.backbone=nothing"], "detector.backbone"),
        (["detector.level=9"], "detector.backbone"),
        (["detector.channels=40"], "multiple of 32"),
        (["detector.focus=6"], "416"),
        (["name=../up"], "no name of a run"),
        (["+detector.depth=2"], "depth"),
    ],
)
def test_a_wrong_config_is_refused_in_one_line(lab: Path, wrong: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        Detector(compose(DetectConfig, "detect", [*places(lab, "wrong"), *wrong]).detector)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_it_learns_to_find_the_breast_and_loses_no_lesion(tmp_path: Path) -> None:
    make_breast(tmp_path / "data", BreastOptions(140, 20, scale=0.1, seed=11, positive_rate=0.3), workers=2)
    write_truth(tmp_path / "data", tmp_path / "truth")
    config = compose(DetectConfig, "detect", [*places(tmp_path, "learned"), "epochs=4", "batch_size=4", "held_out=0.1"])
    train_detector(config)
    truth = read_truth(
        tmp_path / "data" / "hidden", tmp_path / "truth" / "boxes.csv", tmp_path / "truth" / "lesions.csv"
    )
    found = evaluate(load_detector(tmp_path / "runs" / "learned"), truth, workers=2)
    assert found.precision["ap"] >= 0.90
    assert found.detector is not None
    assert found.detector.lesions > 30
    assert found.detector.lost_alone == 0
