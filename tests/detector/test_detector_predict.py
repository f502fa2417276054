"""`rsna detect predict`, `eval` and `export`: files of detectors, tables of boxes, kills and broken images."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detecting import yolox_output

from rsna.cli.app import main
from rsna.errors import InputError, RsnaError
from rsna.imaging import load_thumbnail
from rsna.imaging.detector import RegionDetector
from rsna.preparation.boxes import read_boxes
from rsna.preparation.detection.files import list_images
from rsna.preparation.detection.networks import load_detector
from rsna.preparation.detection.predict import predict_boxes


def bright_box(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A network for tests: the box of the pixels above 40 that are not padding."""
    boxes = []
    for image in images:
        rows, columns = np.nonzero((image > 40) & (image != 114))
        boxes.append([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])
    return np.array(boxes, np.float32), np.full((len(images), 1), 0.75, np.float32)


def command(arguments: list[str]) -> None:
    """Run `rsna detect`, which must succeed."""
    with pytest.raises(SystemExit) as ended:
        main(["detect", *arguments])
    assert ended.value.code == 0


DETECTOR = RegionDetector(Path("bright"), "bright", bright_box)


def test_the_table_has_a_box_for_every_image(lab: Path, tmp_path: Path) -> None:
    images, out = lab / "data" / "train_images", tmp_path / "boxes.csv"
    report = predict_boxes(DETECTOR, images, out, workers=1)
    table = read_boxes(out)
    assert list(table["name"]) == list(list_images(images))
    assert (report.boxes, report.without, len(report.failed)) == (len(table), 0, 0)
    path = list_images(images)[table["name"][0]]
    thumbnail = load_thumbnail(path)
    columns = np.flatnonzero(((thumbnail > 40) & (thumbnail != 114)).any(axis=0))
    assert table["xmax"][0] == pytest.approx((columns[-1] + 1) / thumbnail.shape[1], abs=1e-5)
    assert [entry.name for entry in tmp_path.iterdir()] == ["boxes.csv"]


def test_a_killed_run_goes_on(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsna.preparation.detection.predict.BATCH", 4)
    images, seen = lab / "data" / "train_images", []

    def network(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(len(pictures))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return bright_box(pictures)

    with pytest.raises(KeyboardInterrupt):
        predict_boxes(RegionDetector(Path("bright"), "bright", network), images, tmp_path / "a.csv", workers=1)
    assert not (tmp_path / "a.csv").exists()
    predict_boxes(RegionDetector(Path("bright"), "bright", network), images, tmp_path / "a.csv", workers=1)
    assert sum(seen) == len(list_images(images)) + 4  # the batch that was under way is the only one seen twice
    predict_boxes(DETECTOR, images, tmp_path / "b.csv", workers=1)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_broken_image_costs_its_own_box_only(lab: Path, tmp_path: Path) -> None:
    first, second = sorted((lab / "data" / "train_images").rglob("*.dcm"))[:2]
    images = tmp_path / "images"
    images.mkdir()
    shutil.copy(first, images)
    (images / "broken.dcm").write_bytes(second.read_bytes()[:500])
    report = predict_boxes(DETECTOR, images, tmp_path / "boxes.csv", workers=1)
    assert list(read_boxes(tmp_path / "boxes.csv")["name"]) == [first.stem]
    assert [Path(path).name for path in report.failed["path"]] == ["broken.dcm"]
    (images / first.name).unlink()
    with pytest.raises(RsnaError, match="none of 1 images"):
        predict_boxes(DETECTOR, images, tmp_path / "none.csv", workers=1)


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("1/a.dcm", "2/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="both images of the id 'a'"):
        list_images(tmp_path)
    (tmp_path / "3").mkdir()
    with pytest.raises(InputError, match="no images"):
        list_images(tmp_path / "3")


def yolox_file(path: Path, size: int = 416) -> Path:
    """A YOLOX network whose score is that of its input: right padding, no normalisation, the same in all channels."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    answer = yolox_output((100, 200, 120, 300), 1.0, 16)[None]
    scale = np.array([0, 0, 0, 0, 1 / 114 / 3, 0], np.float32)
    keep = np.array([1, 1, 1, 1, 0, 1], np.float32)
    constants = {"answer": answer * keep, "scaled": answer * scale, "corner": np.array([0, 0, -1, -1], np.int64)}
    constants |= {"end": np.array([1, 3, size, size], np.int64), "axes": np.array([1, 2, 3], np.int64)}
    nodes = [
        helper.make_node("Slice", ["images", "corner", "end"], ["pixel"]),
        helper.make_node("ReduceSum", ["pixel", "axes"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["scaled", "sum"], ["scores"]),
        helper.make_node("Add", ["answer", "scores"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "yolox",
        [helper.make_tensor_value_info("images", kind, [1, 3, size, size])],
        [helper.make_tensor_value_info("output", kind, [1, 3549, 6])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def test_a_yolox_network_gets_what_it_was_trained_on(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    detector = load_detector(yolox_file(tmp_path / "nano.onnx"))
    found = detector.detect([np.zeros((416, 300), np.uint8), np.full((400, 416), 7, np.uint8)])
    for detection, (rows, columns) in zip(found, ((416, 300), (400, 416)), strict=True):
        assert detection is not None
        assert detection.score == pytest.approx(1.0, abs=1e-4)  # the lower right corner is 114 in three channels
        sides = [40 / columns, 50 / rows, 160 / columns, 350 / rows]
        region = detection.region
        assert np.allclose([region.xmin, region.ymin, region.xmax, region.ymax], sides, atol=1e-3)


def test_other_networks_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(InputError, match="640"):
        load_detector(yolox_file(tmp_path / "small.onnx", 640))
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(InputError, match="no ONNX network"):
        load_detector(tmp_path / "text.onnx")
    with pytest.raises(InputError, match="neither"):
        load_detector(tmp_path / "nothing.onnx")
    with pytest.raises(InputError, match="finished"):
        load_detector(tmp_path)


def test_without_onnx_runtime_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "a.onnx").touch()
    with pytest.raises(InputError, match=r"pip install rsna\[export\]"):
        load_detector(tmp_path / "a.onnx")


def test_an_export_finds_the_same_boxes(run: Path, lab: Path, tmp_path: Path) -> None:
    for module in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module)
    exported, out = tmp_path / "net.onnx", tmp_path / "boxes.csv"
    command(["export", str(run), "--out", str(exported)])
    images = lab / "data" / "hidden"
    command(["predict", str(exported), "--images", str(images), "--out", str(out), "--workers", "1"])
    files = list_images(images)
    for row, found in zip(
        read_boxes(out).itertuples(),
        load_detector(run).detect([load_thumbnail(path) for path in files.values()]),
        strict=True,
    ):
        assert found is not None
        assert found.score == pytest.approx(row.score, abs=1e-4)
        assert found.region.xmax == pytest.approx(row.xmax, abs=1e-4)
        assert found.region.ymin == pytest.approx(row.ymin, abs=1e-4)


def test_an_export_that_differs_is_not_written(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rsna.export import detector as exporter

    right = load_detector(run)

    def wrong(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        boxes, scores = right.network(images)
        return boxes + 1, scores

    monkeypatch.setattr(exporter, "_write", lambda folder, path: path.touch())
    monkeypatch.setattr(exporter, "load_detector", lambda path: right if path == run else replace(right, network=wrong))
    with pytest.raises(RsnaError, match="differs from torch"):
        exporter.export_detector(run, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_eval_reports_both_methods(run: Path, lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = [f"--boxes={lab}/truth/boxes.csv", f"--lesions={lab}/truth/lesions.csv"]
    command(["eval", str(run), "--images", str(lab / "data" / "train_images"), *tables, "--workers", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["ap", "ap50", "ap75"]
    count = len(list_images(lab / "data" / "train_images"))
    assert f"of {count} images are left to thresholding" in lines[3]
    assert lines[5].startswith("threshold  loses 0 of ")
