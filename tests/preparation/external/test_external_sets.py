"""External sets: from their original layouts to prepared sets, with labels by their documented rules."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from miniatures import WRITERS, write_xlsx
from preparing import configure

from rsna.cli.app import main
from rsna.competitions import create_competition
from rsna.config import load
from rsna.data import PreparedSet
from rsna.errors import InputError
from rsna.preparation.external import SOURCES, import_external

IMAGES = {"vindr": 11, "miniddsm": 12, "cmmd": 10, "cddcesm": 6, "bmcd": 20}


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature of every set, as downloaded; not to be changed."""
    root = tmp_path_factory.mktemp("originals")
    for name, write in WRITERS.items():
        (root / name).mkdir()
        write(root / name)
    return root


@pytest.fixture
def spoil(originals: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of one miniature that a test may change."""
    return lambda name: shutil.copytree(originals / name, tmp_path / name)


def read(raw: Path, name: str, **labels: object) -> pd.DataFrame:
    """The image table of a set, indexed by the image ids without their prefix."""
    source = SOURCES[name]
    table = source.table(raw, load(source.options, labels))
    return table.set_index(table["image_id"].str.removeprefix(f"{name}:"))


def breasts(table: pd.DataFrame) -> dict[str, float]:
    """The target of each breast, which all its images share."""
    assert table.groupby("prediction_id")["target_cancer"].nunique(dropna=False).eq(1).all()
    return table.groupby("prediction_id")["target_cancer"].first().to_dict()


@pytest.mark.parametrize("name", SOURCES)
def test_a_set_in_its_original_layout_becomes_a_prepared_set(originals: Path, tmp_path: Path, name: str) -> None:
    report = import_external(name, originals / name, configure(originals / name, tmp_path / "out"), {})
    assert report.failed.empty
    prepared = PreparedSet.open(tmp_path / "out")
    table = prepared.table
    assert report.images == len(table) == IMAGES[name]
    assert prepared.spec.origin == name
    assert table["image_id"].str.startswith(f"{name}:").all()
    assert table["group_id"].str.startswith(f"{name}:").all()
    assert table["path"].str.match(rf"images/{name}%3A[^/:]+/{name}%3A[^/:]+\.png").all()
    assert table["laterality"].isin(("L", "R")).all()
    assert table["view"].isin(("CC", "MLO")).all()
    own = create_competition("breast")
    for column in [target.column for target in (*own.targets, *own.auxiliary)]:
        assert table[column].dtype == np.float32
    for path in table["path"]:
        pixels = prepared.read(path)
        assert pixels.shape == (64, 32)
        assert pixels.max() > 150  # the breast fills the range, also on a dark film with a bright label
        assert pixels.min() < 10


def test_vindr_labels(originals: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", logger="rsna"):
        table = read(originals / "vindr", "vindr")
    a, b, c = (f"vindr:{letter * 32}" for letter in "abc")
    negative = {f"{a}_L": 0, f"{a}_R": 0, f"{b}_L": 0, f"{b}_R": 0, f"{c}_L": 1, f"{c}_R": 0}
    assert breasts(table) == negative
    assert breasts(read(originals / "vindr", "vindr", birads4="soft", soft=0.25)) == negative | {f"{b}_R": 0.25}
    assert np.isnan(breasts(read(originals / "vindr", "vindr", birads4="ignored"))[f"{b}_R"])
    assert table["age"].eq(53).all()
    assert table["aux_density"].eq(2).all()
    birads = table.groupby("prediction_id")["aux_BIRADS"].first()
    assert birads[[f"{a}_L", f"{a}_R", f"{b}_L", f"{c}_L"]].tolist() == [1, 2, 0, 0]  # 3 and more are recalls
    assert "1 of the 12 images" in caplog.text


def test_miniddsm_labels(originals: Path) -> None:
    table = read(originals / "miniddsm", "miniddsm")
    cancer = "miniddsm:C_0001_1"
    assert [breast for breast, target in breasts(table).items() if target] == [f"{cancer}_L"]
    assert breasts(read(originals / "miniddsm", "miniddsm", other_side="positive"))[f"{cancer}_R"] == 1
    assert np.isnan(breasts(read(originals / "miniddsm", "miniddsm", other_side="ignored"))[f"{cancer}_R"])
    assert table["aux_density"].dropna().eq(2).all()
    assert table["aux_density"].isna().any()  # 0 is unknown
    assert table.loc["A_0099_1.LEFT_MLO", ["laterality", "view"]].tolist() == ["L", "MLO"]


def test_cmmd_labels(originals: Path) -> None:
    table = read(originals / "cmmd", "cmmd")
    free = {"cmmd:D2-0003_R": 0}
    assert breasts(table) == {"cmmd:D1-0001_R": 0, "cmmd:D1-0087_L": 0, "cmmd:D1-0087_R": 1, "cmmd:D2-0003_L": 1} | free
    ignored = breasts(read(originals / "cmmd", "cmmd", unlabelled="ignored"))
    assert [breast for breast, target in ignored.items() if np.isnan(target)] == list(free)
    assert table.loc["D2-0003_1-4", ["laterality", "view"]].tolist() == ["R", "MLO"]
    assert table.groupby("prediction_id")["aux_biopsy"].first().isna().sum() == 1


def test_cddcesm_labels(originals: Path) -> None:
    table = read(originals / "cddcesm", "cddcesm")
    assert breasts(table) == {"cddcesm:P1_L": 1, "cddcesm:P1_R": 0, "cddcesm:P2_R": 1}
    assert not table["path"].str.contains("_CM_").any()


def test_bmcd_labels(originals: Path) -> None:
    found = breasts(read(originals / "bmcd", "bmcd"))
    assert {breast for breast, target in found.items() if target == 1} == {f"bmcd:suspicious_{i}_L" for i in (1, 2)}
    unknown = {"bmcd:suspicious_33_R", "bmcd:suspicious_33_prior_R"}
    assert {breast for breast, target in found.items() if np.isnan(target)} == unknown
    assert found["bmcd:suspicious_1_prior_L"] == 0
    assert np.isnan(breasts(read(originals / "bmcd", "bmcd", priors="ignored"))["bmcd:suspicious_1_prior_L"])
    assert not any(map(np.isnan, breasts(read(originals / "bmcd", "bmcd", unknown_biopsy="negative")).values()))
    invasive = read(originals / "bmcd", "bmcd").groupby("prediction_id")["aux_invasive"].first()
    assert invasive[["bmcd:suspicious_1_L", "bmcd:suspicious_2_L"]].tolist() == [1, 0]


def test_bmcd_with_its_workbook_of_two_sheets(spoil: Callable[[str], Path]) -> None:
    raw = spoil("bmcd")
    table = pd.read_csv(raw / "label.csv", dtype=str, keep_default_na=False)
    table = table.rename(columns={"dir": "Case", "biopsy_result": "Biopsy results"})
    sheets = {f"{kind} cases": rows.drop(columns="folder_type") for kind, rows in table.groupby("folder_type")}
    expected = breasts(read(raw, "bmcd"))
    (raw / "label.csv").unlink()
    write_xlsx(raw / "Description.xlsx", sheets)
    assert {k: str(v) for k, v in breasts(read(raw, "bmcd")).items()} == {k: str(v) for k, v in expected.items()}


def test_other_places_of_the_same_files(spoil: Callable[[str], Path], originals: Path, tmp_path: Path) -> None:
    cmmd = spoil("cmmd")
    (cmmd / "manifest-1616439774456").mkdir()
    shutil.move(cmmd / "CMMD", cmmd / "manifest-1616439774456/CMMD")
    assert len(read(cmmd, "cmmd")) == IMAGES["cmmd"]
    flat = tmp_path / "flat"
    for study in sorted(
        (originals / "cmmd/CMMD").iterdir()
    ):  # by the identifiers of studies, all files beside each other
        shutil.copytree(next(study.glob("*/*")), flat / "CMMD" / f"1.3.6.{study.name[-1]}", dirs_exist_ok=True)
    shutil.copy(originals / "cmmd/CMMD_clinicaldata_revision.xlsx", flat)
    tables = [read(raw, "cmmd").drop(columns="path").sort_index() for raw in (flat, cmmd)]
    pd.testing.assert_frame_equal(*tables)
    bmcd = spoil("bmcd")
    shutil.move(bmcd / "Dataset/Normal_cases", bmcd / "Normal_cases")
    shutil.rmtree(bmcd / "Dataset")
    assert len(read(bmcd, "bmcd")) == 4
    cesm = spoil("cddcesm")
    shutil.move(cesm / "Radiology manual annotations.xlsx", cesm / "Radiology-manual-annotations.xlsx")
    assert len(read(cesm, "cddcesm")) == IMAGES["cddcesm"]


def test_another_choice_about_labels_keeps_the_pictures(originals: Path, tmp_path: Path) -> None:
    config = configure(originals / "vindr", tmp_path / "out")
    import_external("vindr", originals / "vindr", config, {})
    report = import_external("vindr", originals / "vindr", config, {"birads4": "soft"})
    assert report.kept == report.images == IMAGES["vindr"]
    prepared = PreparedSet.open(tmp_path / "out")
    assert prepared.spec.labels == {"birads4": "soft", "soft": 0.3}
    assert prepared.table["target_cancer"].eq(np.float32(0.3)).sum() == 2


@pytest.mark.parametrize(
    ("name", "lost", "message"),
    [
        ("vindr", "breast-level_annotations.csv", "breast-level_annotations.csv"),
        ("vindr", "images", r"no images/; expected breast-level_annotations\.csv and images/<study_id>"),
        ("miniddsm", "Data-MoreThanTwoMasks", "Data-MoreThanTwoMasks.xlsx"),
        ("miniddsm", "MINI-DDSM-Complete-PNG-16", "MINI-DDSM-Complete-PNG-16"),
        ("cmmd", "CMMD", "CMMD/<patient>/<study>"),
        ("cmmd", "CMMD_clinicaldata_revision.xlsx", "CMMD_clinicaldata_revision.xlsx"),
        ("cddcesm", "Low energy images of CDD-CESM", "Low energy images"),
        ("cddcesm", "Radiology manual annotations.xlsx", "Radiology manual annotations"),
        ("bmcd", "Dataset", "Normal"),
        ("bmcd", "label.csv", "Description.xlsx"),
    ],
)
def test_a_wrong_layout_says_what_is_expected(
    spoil: Callable[[str], Path], capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, lost: str, message: str
) -> None:
    raw = spoil(name)
    path = raw / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(SystemExit, match="2"):
        main(["data", "import", name, "--raw", str(raw), "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert f"is not laid out as {SOURCES[name].title}" in error
    assert re.search(message, error)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "message"),
    [
        ("vindr", "breast-level_annotations.csv", "breast_birads", "birads", "lacks the column 'breast_birads'"),
        ("vindr", "breast-level_annotations.csv", "BI-RADS 4", "4", "row 8, column breast_birads: '4' is not one of"),
        ("bmcd", "label.csv", ",Left,", ",Middle,", "neither Left nor Right"),
        ("bmcd", "label.csv", "laterality", "something", "lacks the column 'laterality'"),
    ],
)
def test_a_wrong_table_names_the_column_or_row(
    spoil: Callable[[str], Path], name: str, file: str, old: str, new: str, message: str
) -> None:
    raw = spoil(name)
    (raw / file).write_text((raw / file).read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        read(raw, name)


def test_a_workbook_that_is_none(spoil: Callable[[str], Path]) -> None:
    raw = spoil("miniddsm")
    path = raw / "Data-MoreThanTwoMasks/Data-MoreThanTwoMasks.xlsx"
    for content in (b"", b"PK\x03\x04 no archive", b"fileName;View"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is not an Excel workbook"):
            read(raw, "miniddsm")


def test_a_workbook_that_would_fill_the_memory(originals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsna.preparation.external.sheets.MAX_BYTES", 1000)
    with pytest.raises(InputError, match="it cannot be the table of a data set"):
        read(originals / "miniddsm", "miniddsm")


def test_without_openpyxl_it_is_named(originals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(InputError, match="needs openpyxl"):
        read(originals / "miniddsm", "miniddsm")
    assert len(read(originals / "bmcd", "bmcd")) == IMAGES["bmcd"]  # whose table is a CSV


def test_two_labels_of_one_breast_are_refused(spoil: Callable[[str], Path]) -> None:
    raw = spoil("vindr")
    path = raw / "breast-level_annotations.csv"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace("BI-RADS 1", "BI-RADS 5")
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="disagree on target_cancer"):
        read(raw, "vindr")


def test_a_set_without_any_of_its_images(spoil: Callable[[str], Path]) -> None:
    raw = spoil("vindr")
    shutil.rmtree(raw / "images")
    (raw / "images").mkdir()
    with pytest.raises(InputError, match="none of the 12 images of its table"):
        read(raw, "vindr")


def test_files_that_are_no_dicom_are_left_out_or_listed(spoil: Callable[[str], Path], tmp_path: Path) -> None:
    raw = spoil("cmmd")
    first, second = sorted(raw.glob("CMMD/D1-0087/*/*/*.dcm"))[:2]
    first.write_bytes(b"no DICOM")  # its side is in its header: it cannot even be listed
    second.write_bytes(second.read_bytes()[:-100])
    report = import_external("cmmd", raw, configure(raw, tmp_path / "out"), {})
    assert report.images == IMAGES["cmmd"] - 2
    assert report.failed["image_id"].tolist() == ["cmmd:D1-0087_1-2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "--raw", "."], "known: vindr, miniddsm, cmmd, cddcesm, bmcd, and folder"),
        (["vindr", "--raw", "no/such"], "there is no folder no/such"),
        (["vindr", "--raw", "VINDR", "--label", "birads5=soft"], "unknown key(s) birads5; valid keys: birads4, soft"),
        (["vindr", "--raw", "VINDR", "--label", "birads4=maybe"], "'maybe' is not one of negative, soft, ignored"),
        (["vindr", "--raw", "VINDR", "--label", "birads4"], "is not KEY=VALUE"),
        (["cddcesm", "--raw", "VINDR", "--label", "soft=1"], "unknown key(s) soft"),
        (["folder", "--raw", "."], "needs --table"),
    ],
)
def test_wrong_options_end_in_one_line(
    originals: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["data", "import", *(str(originals / "vindr") if part == "VINDR" else part for part in arguments)])
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
