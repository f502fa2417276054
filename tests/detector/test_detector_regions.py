"""A detector in the decoding workers: its box where it can be trusted, the same as in a table, and a file read once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detecting import bright_file

from rsna.cli.app import main
from rsna.config import DetectorFile, ImagingSpec, PrepareConfig, RoiSpec
from rsna.config.compose import compose
from rsna.data import PreparedSet
from rsna.data.prepared import PreparedSpec
from rsna.errors import ImageError, InputError
from rsna.imaging import Box, RegionFinder, decode_images, load, load_image, load_steps, load_thumbnail, read_png
from rsna.imaging.detector_onnx import load_onnx
from rsna.preparation.detection.networks import load_detector
from rsna.preparation.detection.predict import predict_boxes
from rsna.preparation.prepare import prepare
from rsna.preparation.shards import Shard, merge_shards

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SPEC = ImagingSpec(height=96, width=64)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that trusts all its boxes by 0.75."""
    return bright_file(tmp_path_factory.mktemp("network") / "bright.onnx")


@pytest.fixture(scope="module")
def files(lab: Path) -> list[Path]:
    """Images of all the machines that there are."""
    return sorted((lab / "data" / "train_images").rglob("*.dcm"))


def configure(lab: Path, prepared: Path, *overrides: str) -> PrepareConfig:
    size = ["data=breast_256", "data.imaging.height=96", "data.imaging.width=64", "env.workers=2"]
    return compose(PrepareConfig, "prepare", [f"env.data={lab}/data", f"env.prepared={prepared}", *size, *overrides])


def pictures(prepared: PreparedSet) -> list[bytes]:
    return [(prepared.folder / path).read_bytes() for path in prepared.table["path"]]


def test_the_box_is_the_one_of_rsna_detect_predict(network: Path, files: list[Path]) -> None:
    finder, detector = RegionFinder.of(network), load_onnx(network)
    for file in files:
        (found,) = detector.detect([load_thumbnail(file)])
        loaded = load_steps(file, SPEC, finder=finder)
        shape = loaded.image.header.shape
        assert found is not None
        assert loaded.detected
        assert loaded.box == found.region.box(*shape).expand(SPEC.roi.margin).clip(shape)


def test_a_table_of_the_detectors_boxes_gives_the_same_pictures(network: Path, lab: Path, tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    predict_boxes(load_detector(network), lab / "data" / "train_images", table, workers=1)
    prepare(configure(lab, tmp_path / "direct", f"boxes={network}"))
    prepare(configure(lab, tmp_path / "table", f"boxes={table}"))
    prepare(configure(lab, tmp_path / "plain"))
    direct, by_table, plain = (PreparedSet.open(tmp_path / name) for name in ("direct", "table", "plain"))
    assert pictures(direct) == pictures(by_table)
    changed = [one != other for one, other in zip(pictures(direct), pictures(plain), strict=True)]
    assert sum(changed) > len(changed) / 2  # or any regions would do
    assert direct.spec.detector == DetectorFile(RegionFinder.of(network).spec.sha256, 0.5)
    assert (tmp_path / "direct" / "detector.onnx").read_bytes() == network.read_bytes()
    assert "onnxruntime" in direct.spec.versions
    assert "onnxruntime" not in plain.spec.versions
    assert len({direct.spec.hash, by_table.spec.hash, plain.spec.hash}) == 3


def test_a_box_that_cannot_be_trusted_leaves_the_region_to_the_pixels(network: Path, files: list[Path]) -> None:
    strict, detector = RegionFinder.of(network, score=0.8), load_onnx(network)
    for file in files:
        plain = load_steps(file, SPEC)
        doubted = load_steps(file, SPEC, finder=strict)
        assert not doubted.detected
        assert doubted.box == plain.box
        np.testing.assert_array_equal(doubted.picture, plain.picture)
        (found,) = detector.detect([load_thumbnail(file)])
        assert found is not None
        for area in (found.region.area - 0.001, found.region.area + 0.001):
            picky = replace(SPEC, roi=RoiSpec(method="none", min_area=min(area, 0.999)))
            small = load_steps(file, picky, finder=RegionFinder.of(network))
            assert small.detected == (found.region.area >= picky.roi.min_area)
            assert small.detected or small.box == Box.whole(small.image.header.shape)


def test_a_box_that_is_given_comes_first(network: Path, files: list[Path]) -> None:
    loaded = load_steps(files[0], SPEC, Box(0, 0, 50, 40), RegionFinder.of(network))
    assert (loaded.box, loaded.detected) == (Box(0, 0, 50, 40), False)


def test_each_file_is_read_once_and_the_detector_opened_once(
    network: Path, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, opened = [], []
    content, onnx = load.read_content, load_onnx
    monkeypatch.setattr(load, "read_content", lambda path: read.append(path) or content(path))
    monkeypatch.setattr("rsna.imaging.detector_onnx.load_onnx", lambda *file: opened.append(file) or onnx(*file))
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(network.read_bytes())
    finder = RegionFinder.of(mine)
    for file in files[:3]:
        load_image(file, SPEC, finder=finder)
    assert read == files[:3]
    assert opened == [(mine, finder.spec.sha256)]


def test_a_detector_that_fails_costs_one_image_in_a_worker(network: Path, files: list[Path], tmp_path: Path) -> None:
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(network.read_bytes())
    finder = RegionFinder.of(mine)
    mine.write_bytes(b"something else")
    with pytest.raises(ImageError, match=r"mine\.onnx is no ONNX network"):
        load_image(files[0], SPEC, finder=finder)
    outcomes = list(decode_images(files[:2], SPEC, 1, finder))
    assert all("mine.onnx is no ONNX network" in str(outcome.error) for outcome in outcomes)


def test_another_detector_or_score_is_another_set(network: Path, lab: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(configure(lab, out, f"boxes={network}"), limit=2)
    assert prepare(configure(lab, out, f"boxes={network}"), limit=2).kept == 2
    for other in (f"boxes={bright_file(tmp_path / 'other.onnx', 0.9)}", "boxes="):
        with pytest.raises(InputError, match=r"another prepared set \(detector"):
            prepare(configure(lab, out, other), limit=2)
    with pytest.raises(InputError, match=r"detector\.score: 0\.5 != 0\.6"):
        prepare(configure(lab, out, f"boxes={network}", "box_score=0.6"), limit=2)
    (out / "detector.onnx").write_bytes(b"altered")
    next(out.rglob("*.png")).unlink()
    assert prepare(configure(lab, out, f"boxes={network}"), limit=2).kept == 1
    assert (out / "detector.onnx").read_bytes() == network.read_bytes()


def test_shards_keep_the_detector(network: Path, lab: Path, tmp_path: Path) -> None:
    for part in (1, 2):
        prepare(configure(lab, tmp_path / f"part{part}", f"boxes={network}"), Shard(part, 2))
    merge_shards([tmp_path / "part1", tmp_path / "part2"], tmp_path / "merged")
    prepare(configure(lab, tmp_path / "whole", f"boxes={network}"))
    merged, whole = PreparedSet.open(tmp_path / "merged"), PreparedSet.open(tmp_path / "whole")
    assert pictures(merged) == pictures(whole)
    assert merged.spec.hash == whole.spec.hash
    assert merged.finder is not None
    merged.finder.try_out()


def test_a_wrong_detector_is_refused_before_anything_is_written(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    for name, message in (("text.onnx", "is no ONNX network"), ("nothing.onnx", "there is no detector")):
        places = [f"env.data={lab}/data", f"env.prepared={tmp_path}/out", "env.workers=1"]
        with pytest.raises(SystemExit, match="2"):
            main(["prepare", *places, f"boxes={tmp_path / name}"])
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_rsna_image_and_view_show_what_the_detector_keeps(network: Path, files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    size = ["--height", "96", "--width", "64"]
    with pytest.raises(SystemExit, match="0"):
        main(["image", str(files[0]), "--out", str(out), "--detector", str(network), *size])
    np.testing.assert_array_equal(read_png(out), load_image(files[0], SPEC, finder=RegionFinder.of(network)))
    with pytest.raises(SystemExit, match="0"):
        main(["view", str(files[0]), f"boxes={network}", "--out", str(tmp_path / "view.png")])
    assert (tmp_path / "view.png").stat().st_size > 1000


def test_sets_that_are_older_than_detectors_keep_their_hash() -> None:
    spec = PreparedSpec("breast", ImagingSpec(), 3, "abc")
    assert "detector" not in spec.identity()
    assert "detector" in replace(spec, detector=DetectorFile("a" * 64)).identity()
    with pytest.raises(ValueError, match="64 hexadecimal"):
        DetectorFile("../weights")
