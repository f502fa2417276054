"""The commands from trained folds to a submission, as they are typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from rsna.cli.app import main
from rsna.inference import Bundle

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    """Run a command; its exit status, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_collect_prints_metrics_threshold_and_digest(trained: Path, tmp_path: Path, shell: Shell) -> None:
    status, out, err = shell("collect", trained / "runs/tiny", "--out", tmp_path / "bundle", "--tta", "hflip")
    assert status == 0, err
    bundle = Bundle.open(tmp_path / "bundle")
    assert bundle.spec.tta == ("hflip",)
    assert f"{bundle.spec.threshold.value:.4f}" in out
    assert bundle.spec.digest in out
    assert "unit/mean_auc" in out
    assert shell("bundle", "show", tmp_path / "bundle")[:2] == (0, out[: out.rindex("bundle  ")])


def test_verify_says_whether_it_is_the_bundle_that_was_meant(bundle: Bundle, shell: Shell) -> None:
    digest = bundle.spec.digest
    assert shell("bundle", "verify", bundle.folder, "--digest", digest) == (
        0,
        f"{bundle.folder} is whole: {digest}\n",
        "",
    )
    status, out, err = shell("bundle", "verify", bundle.folder, "--digest", "0" * 64)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert digest[:12] in err


def test_predict_writes_calls_or_probabilities(bundle: Bundle, trained: Path, tmp_path: Path, shell: Shell) -> None:
    submission = tmp_path / "submission.csv"
    arguments = ("predict", "--bundle", bundle.folder, "--data", trained / "data/hidden", "--out", submission)
    few = ("--workers", 1, "--device", "cpu", "--batch-size", 4)
    status, out, err = shell(*arguments, *few)
    assert status == 0, err
    assert str(submission) in out
    assert set(pd.read_csv(submission)["cancer"]) <= {0, 1}
    assert shell(*arguments, *few, "--threshold", 0)[0] == 0
    assert set(pd.read_csv(submission)["cancer"]) == {1}
    assert shell(*arguments, *few, "--probability")[0] == 0
    assert pd.read_csv(submission)["cancer"].between(0.01, 0.99).all()


def test_predict_train_checks_the_law(bundle: Bundle, trained: Path, tmp_path: Path, shell: Shell) -> None:
    out = tmp_path / "oof.parquet"
    arguments = ("predict", "--bundle", bundle.folder, "--data", trained / "data", "--out", out, "--workers", 1)
    status, text, err = shell(*arguments, "--split", "train", "--fold", 1)
    assert status == 0, err
    assert "from the bundle's out-of-fold predictions" in text
    assert set(pd.read_parquet(out)["row_fold"]) == {1}
    for wrong in (("--fold", 1), ("--split", "train", "--probability")):
        status, _, err = shell(*arguments, *wrong)
        assert (status, err.count("\n")) == (2, 1)


def test_a_visible_run_with_a_broken_image_exits_1(bundle: Bundle, trained: Path, tmp_path: Path, shell: Shell) -> None:
    data = Path(shutil.copytree(trained / "data/hidden", tmp_path / "hidden"))
    broken = sorted(data.glob("test_images/*/*.dcm"))[0]
    broken.write_bytes(broken.read_bytes()[:200])
    submission = tmp_path / "out/submission.csv"
    status, _, err = shell("predict", "--bundle", bundle.folder, "--data", data, "--out", submission, "--workers", 1)
    assert status == 1
    assert "more than 1%" in err.splitlines()[-1]
    assert not submission.exists()
    (failed,) = json.loads((tmp_path / "out/predict_report.json").read_text())["failed"]
    assert failed["path"].endswith(broken.name)
