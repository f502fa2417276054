"""`rsna prepare`: what it makes, what it keeps, and what it says about images and folders that are no good."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from preparing import configure, overrides, tree

from rsna.cli.app import main
from rsna.config import ImagingSpec
from rsna.data import PreparedSet
from rsna.errors import InputError, RsnaError
from rsna.imaging import load_image, write_png
from rsna.io import file_name
from rsna.preparation.prepare import prepare
from rsna.preparation.verify import check_reproduces


@pytest.fixture
def data(competition: Path, tmp_path: Path) -> Path:
    """A copy of the competition that a test may spoil."""
    return shutil.copytree(competition, tmp_path / "data")


def read_train(data: Path) -> pd.DataFrame:
    return pd.read_csv(data / "train.csv", dtype=str, keep_default_na=False)


def image_files(data: Path) -> list[Path]:
    """The files of the training images, in the order of the table."""
    train = read_train(data)
    return [data / "train_images" / p / f"{i}.dcm" for p, i in zip(train["patient_id"], train["image_id"], strict=True)]


def test_every_image_becomes_a_picture_by_the_one_function(competition: Path, whole: Path) -> None:
    prepared = PreparedSet.open(whole)
    assert prepared.table["image_id"].tolist() == read_train(competition)["image_id"].tolist()
    for row in prepared.table.iloc[::7].itertuples():
        assert row.path == f"images/{row.group_id}/{row.image_id}.png"
        expected = load_image(competition / row.source_path, prepared.spec.imaging)
        np.testing.assert_array_equal(prepared.read(row.path), expected)
    assert set(tree(whole)) == {"spec.json", "table.parquet", *prepared.table["path"]}


def test_the_table_keeps_the_columns_of_the_competition(whole: Path) -> None:
    table = PreparedSet.open(whole).table
    assert {"target_cancer", "aux_biopsy", "laterality", "view", "age", "site_id", "machine_id"} <= set(table)
    assert table["target_cancer"].dtype == np.float32


def test_a_finished_set_is_kept_and_one_missing_picture_is_made_again(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "copy")
    config = configure(Path(PreparedSet.open(whole).spec.source), folder)
    paths = PreparedSet.open(whole).table["path"]
    (folder / paths[3]).unlink()
    (folder / Path(paths[3]).parent / ".part-killed.png").write_bytes(b"half a pictu")
    (folder / ".part-killed.parquet").write_bytes(b"half a tab")
    report = prepare(config)
    assert (report.images, report.kept) == (len(paths), len(paths) - 1)
    assert tree(folder) == tree(whole)


def test_a_picture_older_than_its_source_is_made_again(data: Path, tmp_path: Path) -> None:
    config = configure(data, tmp_path / "out")
    prepare(config, limit=2)
    first, second = image_files(data)[:2]
    shutil.copyfile(first, second)
    os.utime(second, (2e9, 2e9))
    report = prepare(config, limit=2)
    assert report.kept == 1
    pictures = [PreparedSet.open(report.folder).read(path) for path in PreparedSet.open(report.folder).table["path"]]
    np.testing.assert_array_equal(*pictures)


def test_bad_images_are_listed_and_the_others_prepared(data: Path, tmp_path: Path, whole: Path) -> None:
    empty, truncated, foreign, missing, folder, *_ = image_files(data)
    empty.write_bytes(b"")
    truncated.write_bytes(truncated.read_bytes()[: truncated.stat().st_size // 2])
    foreign.write_bytes(b"this is no DICOM file" * 100)
    missing.unlink()
    folder.unlink()
    folder.mkdir()
    config = configure(data, tmp_path / "out")
    report = prepare(config)
    listed = pd.read_csv(tmp_path / "out/failed.csv", dtype=str)
    assert listed.columns.tolist() == ["image_id", "path", "reason"]
    assert listed["path"].tolist() == [str(p.relative_to(data)) for p in (empty, truncated, foreign, missing, folder)]
    assert listed["reason"].str.len().gt(5).all()
    assert report.failed["image_id"].tolist() == listed["image_id"].tolist()
    good = PreparedSet.open(tmp_path / "out")
    assert len(good.table) == report.images == len(read_train(data)) - 5
    assert not set(good.table["image_id"]) & set(listed["image_id"])
    originals = tree(whole)
    assert all((tmp_path / "out" / path).read_bytes() == originals[path] for path in good.table["path"])


def test_mended_images_leave_the_list(data: Path, competition: Path, whole: Path, tmp_path: Path) -> None:
    config = configure(data, tmp_path / "out")
    shutil.move(image_files(data)[0], tmp_path / "aside")
    assert len(prepare(config).failed) == 1
    shutil.move(tmp_path / "aside", image_files(data)[0])
    report = prepare(config)
    assert report.failed.empty
    assert not (tmp_path / "out/failed.csv").exists()
    pd.testing.assert_frame_equal(PreparedSet.open(report.folder).table, PreparedSet.open(whole).table)


def test_no_usable_image_at_all_is_a_failure(data: Path, tmp_path: Path) -> None:
    shutil.rmtree(data / "train_images")
    with pytest.raises(RsnaError, match="none of 3 images could be used") as caught:
        prepare(configure(data, tmp_path / "out"), limit=3)
    assert caught.value.exit_status == 1
    assert len(pd.read_csv(tmp_path / "out/failed.csv")) == 3
    with pytest.raises(InputError, match="holds no picture"):
        PreparedSet.open(tmp_path / "out")


def test_a_picture_that_cannot_be_written_ends_the_run(competition: Path, whole: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "out" / PreparedSet.open(whole).table["path"][0]
    blocked.parent.parent.mkdir(parents=True)
    blocked.parent.write_text("a file where a folder must be")
    with pytest.raises(RsnaError, match="cannot make the folder"):
        prepare(configure(competition, tmp_path / "out"))
    assert not (tmp_path / "out/failed.csv").exists()


def test_a_missing_data_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.*train\.csv"):
        prepare(configure(tmp_path / "nowhere", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_any_id_becomes_one_safe_file_name(data: Path, tmp_path: Path) -> None:
    train = read_train(data).head(5)
    files = image_files(data)[:5]
    train["patient_id"] = ["NA", "a b", "x.y", ".hidden", "50%"]
    train["image_id"] = ["NA", "1/2", "..", "é", "null"]
    train.to_csv(data / "train.csv", index=False)
    for source, target in zip(files, image_files(data), strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    table = PreparedSet.open(prepare(configure(data, tmp_path / "out")).folder).table
    assert table["image_id"].tolist() == train["image_id"].tolist()
    assert table["path"].tolist() == [
        f"images/{file_name(p)}/{file_name(i)}.png" for p, i in zip(train["patient_id"], train["image_id"], strict=True)
    ]
    assert all(len(Path(path).parts) == 3 and (tmp_path / "out" / path).is_file() for path in table["path"])


def test_an_id_that_climbs_out_of_the_data_folder_is_refused(data: Path, tmp_path: Path) -> None:
    train = read_train(data).head(2)
    train.loc[1, "patient_id"] = "../.."
    train.to_csv(data / "train.csv", index=False)
    with pytest.raises(InputError, match="does not stay inside"):
        prepare(configure(data, tmp_path / "out"))


def test_a_folder_of_another_spec_is_refused(competition: Path, whole: Path) -> None:
    with pytest.raises(InputError, match=r"another prepared set \(imaging\.height: 64 != 128\); choose another"):
        prepare(configure(competition, whole, ImagingSpec(height=128, width=32)))
    with pytest.raises(InputError, match=r"images: .* != 2"):
        prepare(configure(competition, whole), limit=2)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(competition: Path, tmp_path: Path, limit: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        prepare(configure(competition, tmp_path), limit=limit)


def test_an_unwritable_folder_is_refused_on_the_command_line(
    competition: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SystemExit, match="2"):
        main(["prepare", *overrides(configure(competition, tmp_path / "file/out"))])
    assert "cannot make the folder" in capsys.readouterr().err


def test_the_command_says_loudly_what_failed_and_succeeds(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image_files(data)[1].write_bytes(b"")
    with pytest.raises(SystemExit, match="0"):
        main(["prepare", *overrides(configure(data, tmp_path / "out")), "--limit", "3"])
    output = capsys.readouterr()
    assert "2 pictures" in output.out
    assert "1 images FAILED" in output.err
    assert image_files(data)[1].name in output.err


def test_a_set_that_its_spec_reproduces(competition: Path, whole: Path) -> None:
    assert check_reproduces(PreparedSet.open(whole), competition, sample=4) == []


def test_a_set_that_its_spec_does_not_reproduce(competition: Path, whole: Path, tmp_path: Path) -> None:
    prepared = PreparedSet.open(shutil.copytree(whole, tmp_path / "copy"))
    shifted, swapped, gone = prepared.table.iloc[[0, 5, 7]].itertuples()
    pixels = prepared.read(shifted.path)
    pixels[0, 0] ^= 1
    write_png(prepared.folder / shifted.path, pixels)
    write_png(prepared.folder / swapped.path, pixels[:-1])
    (prepared.folder / gone.path).unlink()
    wrong = check_reproduces(prepared, competition, sample=10**6)
    assert wrong == [shifted.image_id, swapped.image_id, gone.image_id]
    with pytest.raises(InputError, match="no data folder"):
        check_reproduces(prepared, tmp_path / "elsewhere")
