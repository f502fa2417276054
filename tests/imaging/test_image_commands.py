"""`rsna image` and `rsna view`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dicom_files import breast, write_dicom

from rsna.cli.app import main
from rsna.config import ImagingSpec, RoiSpec
from rsna.imaging import load_image, read_png
from rsna.tables import write_parquet


def run(*arguments: object) -> int:
    """The exit status of the program."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    table = pd.DataFrame({"image_id": ["77", "78", "77"], "pred_cancer": [0.25, 0.9, 0.75], "target_cancer": [1, 0, 1]})
    write_parquet(tmp_path / "predictions.parquet", table)
    return tmp_path / "predictions.parquet"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    window = {"WindowCenter": 1500, "WindowWidth": 3000}
    return write_dicom(tmp_path / "77.dcm", breast(), "j2k", 12, PhotometricInterpretation="MONOCHROME1", **window)


def test_image_says_what_a_file_is(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("image", file) == 0
    text = capsys.readouterr().out
    for fact in (
        "192 x 160 pixels, MONOCHROME1",
        "12 of 16",
        "1.2.840.10008.1.2.4.90",
        "LINEAR 1500/3000",
        "imagecodecs",
    ):
        assert fact in text


def test_image_reads_its_own_png(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("image", file, "--out", tmp_path / "a.png") == 0
    assert run("image", tmp_path / "a.png") == 0
    assert "1024 x 512 pixels" in capsys.readouterr().out


def test_image_writes_the_picture(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "a.png"
    assert run("image", file, "--out", out) == 0
    np.testing.assert_array_equal(read_png(out), load_image(file, ImagingSpec()))
    options = ("--height", 100, "--width", 60, "--bits", 16, "--roi", "none", "--voi", "minmax", "--stretch")
    assert run("image", file, "--out", tmp_path / "a.npy", *options) == 0
    spec = ImagingSpec(100, 60, keep_aspect=False, bits=16, voi="minmax", roi=RoiSpec(method="none"))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), load_image(file, spec))


def test_image_writes_the_stored_values(file: Path, tmp_path: Path) -> None:
    for name, read in (("a.npy", np.load), ("a.png", read_png)):
        assert run("image", file, "--raw", "--out", tmp_path / name) == 0
        np.testing.assert_array_equal(read(tmp_path / name), breast())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--out", "a.jpg"), "cannot write a.jpg: the name must end in .png or .npy"),
        (("--height", "4"), "height and width must lie in"),
        (("--bits", "12"), "options.bits: 12 is not one of 8, 16"),
        (("--roi", "magic"), "options.roi.method: 'magic' is not one of"),
    ],
)
def test_image_refuses_wrong_options(
    file: Path, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("image", file, *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_image_refuses_negative_values_in_a_png(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_dicom(tmp_path / "a.dcm", breast().astype(np.int16) - 900)
    assert run("image", file, "--raw", "--out", tmp_path / "a.png") == 2
    assert "a PNG holds no int16 values; write an .npy file" in capsys.readouterr().err


def test_a_bad_file_gives_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.dcm"
    file.write_text("hello")
    for command in (("image", file), ("image", file, "--out", tmp_path / "a.png"), ("view", file, "--out", "a.png")):
        assert run(*command) == 2
        assert capsys.readouterr().err == f"rsna: {file}: not a DICOM file\n"


def test_view_writes_a_picture(
    file: Path, predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "view.png"
    assert run("view", file, "data=breast_256", "--out", out, "--predictions", predictions) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    other = write_dicom(tmp_path / "none.dcm", breast())
    assert run("view", other, "--out", out, "--predictions", predictions) == 2
    assert "has no prediction of the image none" in capsys.readouterr().err


def test_view_puts_the_mean_prediction_in_the_title(predictions: Path) -> None:
    from rsna.cli.view import _prediction

    assert _prediction(predictions, "77") == "pred_cancer 0.500, target_cancer 1.000"


def test_view_needs_somewhere_to_show(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert run("view", file) == 2
    assert "--out FILE.png" in capsys.readouterr().err


@pytest.mark.slow
def test_view_reads_every_real_file(shared_data: Path, tmp_path: Path) -> None:
    files = sorted((shared_data / "dicom").glob("*.dcm"))
    statuses = {file.name: run("view", file, "--out", tmp_path / "a.png") for file in files}
    assert [name for name, status in statuses.items() if status] == ["RG2_JPLY.dcm"]
