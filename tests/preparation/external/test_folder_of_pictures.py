"""Pictures that somebody else made, with a table, become a prepared set; and how dark or coloured files are read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from miniatures import breast
from PIL import Image

from rsna.cli.app import main
from rsna.competitions import create_competition
from rsna.config import ImagingSpec
from rsna.data import PreparedSet
from rsna.errors import ImageError, InputError
from rsna.imaging import load_image, read_png, write_png
from rsna.preparation.external.folder import folder_source
from rsna.preparation.folds import make_folds
from rsna.preparation.picture import PictureTask, write_picture
from rsna.preparation.readers import decode_jpeg, stretch


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Eight pictures of four patients, with a table like the competition's."""
    rows = []
    for patient in range(4):
        for side in "LR":
            image = f"{patient}{side}"
            write_png(tmp_path / f"raw/{patient}/{image}.png", breast(255, patient).astype(np.uint8))
            rows.append(
                (str(patient), image, side, "CC", 50 + patient, int(patient < 2 and side == "L"), "B", "1", "False")
            )
    names = [
        "patient_id",
        "image_id",
        "laterality",
        "view",
        "age",
        "cancer",
        "density",
        "site_id",
        "difficult_negative_case",
    ]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "train.csv", index=False)
    return tmp_path


def test_a_folder_of_pictures_is_a_prepared_set(pictures: Path) -> None:
    size = ["data.imaging.height=64", "data.imaging.width=32", "env.workers=2"]
    places = ["--raw", str(pictures / "raw"), "--table", str(pictures / "train.csv"), "--out", str(pictures / "out")]
    with pytest.raises(SystemExit, match="0"):
        main(["data", "import", "folder", *places, *size])
    prepared = PreparedSet.open(pictures / "out")
    table = prepared.table
    assert prepared.spec.origin == ""  # the competition's own images: they may be split and validated on
    assert table["image_id"].tolist() == [f"{patient}{side}" for patient in range(4) for side in "LR"]
    assert table["target_cancer"].tolist() == [1, 0, 1, 0, 0, 0, 0, 0]
    assert table["aux_difficult_negative_case"].eq(0).all()
    assert make_folds(create_competition("breast"), table, 2, 0)["fold"].nunique() == 2
    source = pictures / "raw" / table["source_path"][3]
    np.testing.assert_array_equal(prepared.read(table["path"][3]), load_image(source, prepared.spec.imaging))


def test_a_named_source_is_external_and_may_be_without_labels(pictures: Path) -> None:
    table = pd.read_csv(pictures / "train.csv", dtype=str).drop(columns="cancer")
    table.to_csv(pictures / "train.csv", index=False)
    source = folder_source(pictures / "raw", pictures / "train.csv", "clinic")
    assert source.origin == "clinic"
    assert source.table["image_id"].str.startswith("clinic:").all()
    assert source.table["target_cancer"].isna().all()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("cancer", "2", "'2' does not lie in"),
        ("laterality", "M", "'M' is not one of"),
        ("cancer", "yes", "'yes' does not"),
    ],
)
def test_a_bad_value_is_refused(pictures: Path, column: str, value: str, message: str) -> None:
    table = pd.read_csv(pictures / "train.csv", dtype=str)
    table.loc[2, column] = value
    table.to_csv(pictures / "train.csv", index=False)
    with pytest.raises(InputError, match=f"row 4, column {column}: {message}"):
        folder_source(pictures / "raw", pictures / "train.csv")


def test_a_table_of_other_pictures_is_refused(pictures: Path) -> None:
    with pytest.raises(InputError, match=r"has none of the 8 images of its table, for instance 0/0L\.png"):
        folder_source(pictures, pictures / "train.csv")


# Files that are stretched


@given(npst.arrays(st.sampled_from((np.uint8, np.uint16)), st.tuples(*[st.integers(1, 20)] * 2)))
def test_stretching_keeps_the_order_of_grey_values(pixels: np.ndarray) -> None:
    shown = stretch(pixels)
    assert shown.shape == pixels.shape
    assert shown.dtype == np.uint16
    order = np.argsort(pixels, axis=None)
    assert (np.diff(shown.ravel()[order].astype(int)) >= 0).all()
    assert shown.min() == 0
    if pixels.min() < pixels.max():
        assert shown.max() == 65535


def test_a_jpeg_is_read_as_grey(tmp_path: Path) -> None:
    grey = Image.fromarray(breast(255).astype(np.uint8))
    for mode in ("L", "RGB"):
        grey.convert(mode).save(tmp_path / f"{mode}.jpg", quality=100, subsampling=0)
    plain, coloured = (decode_jpeg((tmp_path / f"{mode}.jpg").read_bytes()) for mode in ("L", "RGB"))
    assert plain.shape == (96, 72)
    assert np.abs(plain.astype(int) - coloured).max() <= 2
    task = PictureTask(tmp_path / "L.jpg", tmp_path / "L.png")
    assert not write_picture(task, ImagingSpec(height=64, width=32), "stretched").trouble
    assert read_png(task.target).shape == (64, 32)


@pytest.mark.parametrize("damage", ["truncated", "png", "text", "huge"])
def test_a_damaged_file_names_itself(tmp_path: Path, damage: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(breast(255).astype(np.uint8)).save(buffer, "JPEG")
    content = buffer.getvalue()
    if damage == "huge":
        start = content.index(b"\xff\xc0") + 5
        content = content[:start] + b"\xff\xff\xff\xff" + content[start + 4 :]
    contents = {
        "truncated": content[: len(content) // 2],
        "png": b"\x89PNG\r\n\x1a\n",
        "text": b"nothing",
        "huge": content,
    }
    path = tmp_path / "picture.jpg"
    path.write_bytes(contents[damage])
    with pytest.raises(ImageError, match=r"picture\.jpg"):
        write_picture(PictureTask(path, tmp_path / "a.png"), ImagingSpec(height=64, width=32), "stretched")
