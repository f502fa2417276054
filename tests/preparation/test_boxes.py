"""Regions from tables: what they change in a prepared set, when they are distrusted, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from preparing import configure, overrides

from rsna.cli.app import main
from rsna.config import ImagingSpec, PrepareConfig, RoiSpec
from rsna.data import PreparedSet
from rsna.errors import InputError
from rsna.imaging import Box, Region, load_image, read_dicom
from rsna.preparation.box_formats import convert_boxes, image_name
from rsna.preparation.boxes import SIDES, read_boxes
from rsna.preparation.prepare import prepare
from rsna.preparation.verify import check_reproduces
from rsna.tables import write_csv

SLACK = 0.01 + 1e-6  # pixels
TIGHT = ImagingSpec(height=64, width=32, roi=RoiSpec(margin=0.0))


@pytest.fixture
def images(competition: Path) -> list[str]:
    """The first eight images of the competition."""
    return pd.read_csv(competition / "train.csv", dtype=str)["image_id"].tolist()[:8]


@pytest.fixture
def write_boxes(images: list[str], tmp_path: Path) -> Callable[..., Path]:
    """Writes a table with one good box per image, changed."""

    def write(change: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table) -> Path:
        rows = [(name, 0.1, 0.2, 0.6, 0.9, 0.8) for name in images]
        write_csv(tmp_path / "boxes.csv", change(pd.DataFrame(rows, columns=["name", *SIDES, "score"])))
        return tmp_path / "boxes.csv"

    return write


def with_boxes(competition: Path, out: Path, boxes: Path) -> PrepareConfig:
    return replace(configure(competition, out, TIGHT), boxes=str(boxes))


def test_a_box_decides_what_is_kept(competition: Path, tmp_path: Path, write_boxes: Callable[..., Path]) -> None:
    prepare(with_boxes(competition, tmp_path / "out", write_boxes()), limit=2)
    prepared = PreparedSet.open(tmp_path / "out")
    assert prepared.spec.boxes
    for row in prepared.table.itertuples():
        source = competition / row.source_path
        rows, columns = read_dicom(source).pixels.shape
        box = Region(row.roi_xmin, row.roi_ymin, row.roi_xmax, row.roi_ymax).box(rows, columns)
        assert box.top == pytest.approx(0.2 * rows, abs=1)
        assert box.right == pytest.approx(0.6 * columns, abs=1)
        np.testing.assert_array_equal(prepared.read(row.path), load_image(source, TIGHT, box))


def test_the_margin_of_the_roi_is_added_to_a_box(
    competition: Path, tmp_path: Path, write_boxes: Callable[..., Path]
) -> None:
    wide = replace(TIGHT, roi=RoiSpec(margin=0.2))
    config = replace(configure(competition, tmp_path / "out", wide), boxes=str(write_boxes()))
    prepare(config, limit=1)
    prepared = PreparedSet.open(tmp_path / "out")
    source = competition / prepared.table["source_path"][0]
    box = Region(0.1, 0.2, 0.6, 0.9).box(*read_dicom(source).pixels.shape).expand(0.2)
    np.testing.assert_array_equal(prepared.read(prepared.table["path"][0]), load_image(source, wide, box))


def test_a_box_that_is_no_good_leaves_the_region_to_be_found(
    competition: Path, tmp_path: Path, images: list[str], write_boxes: Callable[..., Path]
) -> None:
    def spoil(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[0, "score"] = 0.3
        table.loc[1, ["xmax", "ymax"]] = [0.2, 0.3]  # one percent of the image
        return table.drop(index=2)

    prepare(with_boxes(competition, tmp_path / "out", write_boxes(spoil)), limit=4)
    prepare(configure(competition, tmp_path / "plain", TIGHT), limit=4)
    found, plain = PreparedSet.open(tmp_path / "out"), PreparedSet.open(tmp_path / "plain")
    same = [np.array_equal(found.read(path), plain.read(path)) for path in plain.table["path"]]
    assert same == [True, True, True, False]
    assert found.table["roi_xmin"].isna().tolist() == same


def test_the_best_of_several_boxes_counts(write_boxes: Callable[..., Path]) -> None:
    path = write_boxes(lambda table: pd.concat([table.assign(xmin=0.0, score=0.7), table, table.assign(score=0.1)]))
    table = read_boxes(path)
    assert len(table) == 8
    assert table["xmin"].eq(np.float32(0.1)).all()


def test_a_submission_would_not_have_the_boxes(
    competition: Path, tmp_path: Path, write_boxes: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    prepare(with_boxes(competition, tmp_path / "out", write_boxes()), limit=3)
    prepared = PreparedSet.open(tmp_path / "out")
    with caplog.at_level("WARNING", logger="rsna"):
        assert check_reproduces(prepared, competition) == prepared.table["image_id"].tolist()
    assert "which a submission does not have" in caplog.text


def test_other_boxes_are_another_set(competition: Path, tmp_path: Path, write_boxes: Callable[..., Path]) -> None:
    prepare(with_boxes(competition, tmp_path / "out", write_boxes()), limit=2)
    other = write_boxes(lambda table: table.assign(xmax=0.7))
    with pytest.raises(InputError, match="another prepared set"):
        prepare(with_boxes(competition, tmp_path / "out", other), limit=2)
    with pytest.raises(InputError, match="another prepared set"):
        prepare(configure(competition, tmp_path / "out", TIGHT), limit=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="ymin"), "lacks the column(s) ymin"),
        (lambda t: t.assign(xmin=0.7), "row 2: the box xmin=0.7, ymin=0.2, xmax=0.6, ymax=0.9"),
        (lambda t: t.assign(ymax=0.2), "is empty or inverted"),
        (lambda t: t.assign(xmax=np.nan), "row 2, column xmax: '' is a missing value"),
        (lambda t: t.assign(xmax="wide"), "'wide' is not a number"),
        (lambda t: t.assign(xmax=np.inf), "is not a number"),
        (lambda t: t.assign(score=7), "has a score outside [0, 1]"),
        (lambda t: t.assign(xmin=10.5, ymin=20.5, xmax=60.5, ymax=90.5), "these look like percents"),
        (
            lambda t: t.assign(xmin=79, ymin=0, xmax=1453, ymax=560),
            "these look like pixels: convert them with `rsna data",
        ),
        (lambda t: t.assign(name="x" + t["name"]), "is no image of the table (8 of 8 such names)"),
        (lambda t: t.assign(name=["nobody", *t["name"][1:]]), "'nobody' is no image of the table"),
        (lambda t: t.head(0), "holds no boxes"),
    ],
)
def test_a_broken_table_of_boxes_ends_in_one_line(
    competition: Path,
    tmp_path: Path,
    write_boxes: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
) -> None:
    path = write_boxes(change)
    with pytest.raises(SystemExit, match="2"):
        main(["prepare", *overrides(configure(competition, tmp_path / "out")), f"boxes={path}"])
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "boxes.csv" in error
    assert "\n" not in error
    assert not (tmp_path / "out").exists()


def test_boxes_of_other_sources_are_passed_over(
    competition: Path, tmp_path: Path, write_boxes: Callable[..., Path]
) -> None:
    path = write_boxes(lambda table: pd.concat([table, table.assign(name="vindr:" + table["name"])]))
    assert prepare(with_boxes(competition, tmp_path / "out", path), limit=1).images == 1


# Other formats


def test_pixels_of_a_table(tmp_path: Path) -> None:
    rows = [("10006/1459541791.png", 79, 0, 1024.5, 560, 0.94)]
    write_csv(tmp_path / "pixels.csv", pd.DataFrame(rows, columns=["name", *SIDES, "score"]))
    main_ok(["data", "boxes", str(tmp_path / "pixels.csv"), "--size", "2048x1024", "--out", str(tmp_path / "a.csv")])
    table = read_boxes(tmp_path / "a.csv")
    assert table["name"].tolist() == ["1459541791"]
    np.testing.assert_allclose(table[SIDES].to_numpy()[0], [79 / 1024, 0, 1, 560 / 2048], rtol=1e-6)


def main_ok(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(arguments)


def test_the_published_boxes(shared_data: Path, tmp_path: Path) -> None:
    source, out = shared_data / "breast/roi_boxes_2048.csv.gz", tmp_path / "boxes.csv"
    main_ok(["data", "boxes", str(source), "--size", "2048x2048", "--transposed", "--out", str(out)])
    table, original = read_boxes(out), pd.read_csv(source)
    assert len(table) == len(original) == 54_706
    known = pd.read_csv(shared_data / "breast/train.csv.gz", dtype=str)["image_id"]
    assert set(table["name"]) == set(known)
    first = original.iloc[0]
    expected = [first["ymin"] / 2048, first["xmin"] / 2048, first["ymax"] / 2048, first["xmax"] / 2048]
    np.testing.assert_allclose(table[SIDES].iloc[0].to_numpy(np.float64), expected, rtol=1e-6)
    assert ((table["ymax"] - table["ymin"]) > (table["xmax"] - table["xmin"])).mean() > 0.9  # breasts stand upright


@given(
    st.lists(st.tuples(*[st.floats(0.02, 0.98)] * 2, *[st.floats(0.01, 1)] * 2), min_size=1, max_size=5),
    st.integers(100, 4000),
    st.integers(100, 4000),
)
def test_yolo_and_coco_tell_the_same_boxes(
    tmp_path_factory: pytest.TempPathFactory, boxes: list[tuple[float, ...]], rows: int, columns: int
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    boxes = [(x, y, min(w, 2 * x, 2 * (1 - x)), min(h, 2 * y, 2 * (1 - y))) for x, y, w, h in boxes]
    (folder / "labels").mkdir()
    images, annotations = [], []
    for index, (x, y, w, h) in enumerate(boxes):
        (folder / f"labels/10006@{index}.txt").write_text(f"0 {x!r} {y!r} {w!r} {h!r}\n")
        images.append({"id": index, "file_name": f"10006/{index}.png", "width": columns, "height": rows})
        corner = [(x - w / 2) * columns, (y - h / 2) * rows, w * columns, h * rows]
        annotations.append({"id": index, "image_id": index, "bbox": corner, "category_id": 0})
    (folder / "coco.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    yolo, coco = convert_boxes(folder / "labels"), convert_boxes(folder / "coco.json")
    assert yolo["name"].tolist() == coco["name"].tolist() == [str(index) for index in range(len(boxes))]
    np.testing.assert_allclose(yolo[SIDES], coco[SIDES], atol=1e-9)
    np.testing.assert_allclose(yolo["xmax"] - yolo["xmin"], [w for _, _, w, _ in boxes], atol=1e-9)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels/a.txt", "0 0.5 0.5 0.2\n", "line 1: expected class, x, y, width, height"),
        ("labels/a.txt", "0 0.5 0.5 20 30\n", "are fractions in"),
        ("labels/a.txt", "0 0.5 nan 0.2 0.2\n", "'nan' is not a number"),
        ("labels/a.png", "", "holds no label files"),
        ("coco.json", "[]", "is no COCO annotation file"),
        ("coco.json", '{"images": [], "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}]}', "is no COCO"),
        ("coco.json", '{"images": [], "annotations": []}', "has no annotations"),
        ("coco.json", "{", "is not valid JSON"),
        (
            "coco.json",
            '{"images": [{"id": 1, "file_name": "a.png", "width": 10, "height": 10}],'
            ' "annotations": [{"image_id": 1, "bbox": [20, 0, 1, 1]}]}',
            "does not lie in an image of 10x10",
        ),
    ],
)
def test_broken_labels_are_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    with pytest.raises(InputError, match=message.replace("[", r"\[")):
        convert_boxes(path.parent if path.parent != tmp_path else path)


@pytest.mark.parametrize(
    ("size", "message"), [("2048", "is no size"), ("0x5", "is no size"), ("100x100", "reaches far outside 100x100")]
)
def test_a_wrong_size_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], size: str, message: str) -> None:
    (tmp_path / "b.csv").write_text("name,xmin,ymin,xmax,ymax\na,0,0,500,500\n")
    with pytest.raises(SystemExit, match="2"):
        main(["data", "boxes", str(tmp_path / "b.csv"), "--size", size, "--out", str(tmp_path / "out.csv")])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("file", ["10006/17.png", "10006@17.txt", "17", "17.dcm", "images\\10006\\17.PNG"])
def test_names_of_files_are_image_ids(file: str) -> None:
    assert image_name(file) == "17"


def test_an_encoded_name_is_decoded() -> None:
    assert image_name("vindr%3Aabc/vindr%3A17.png") == "vindr:17"


@given(st.tuples(*[st.floats(0, 1)] * 4), st.integers(8, 5000), st.integers(8, 5000))
def test_a_region_is_covered_and_inside(sides: tuple[float, float, float, float], rows: int, columns: int) -> None:
    (left, right), (top, bottom) = sorted(sides[:2]), sorted(sides[2:])
    box = Region(left, top, right, bottom).box(rows, columns)
    assert 0 <= box.left <= left * columns + SLACK
    assert right * columns - SLACK <= box.right <= columns
    assert 0 <= box.top <= top * rows + SLACK
    assert bottom * rows - SLACK <= box.bottom <= rows
    assert min(box.width, box.height) >= 1
    assert box.width < (right - left) * columns + 2
    assert isinstance(box, Box)
