"""`rsna log`, run on folders as training and collecting leave them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from rsna.cli.app import main
from rsna.competitions import Threshold
from rsna.config import dump, load
from rsna.config.training import TrainConfig
from rsna.inference.schema import BundleSpec, Member
from rsna.io import write_json, write_yaml
from rsna.tables import write_parquet

CONFIG = load(
    TrainConfig,
    {
        "name": "baseline",
        "competition": {"name": "breast"},
        "env": {"data": "data", "prepared": "prepared"},
        "scheduler": {"name": "cosine", "unit": "epoch"},
    },
)


def predictions(fold: int, positives: bool = True) -> pd.DataFrame:
    """Forty breasts of two images each."""
    generator = np.random.default_rng(fold)
    target = np.repeat(np.arange(40) % 8 == 0, 2).astype(np.float32) * positives
    ids = [f"{fold}{i}" for i in range(80)]
    return pd.DataFrame(
        {
            "image_id": ids,
            "prediction_id": [f"{fold}{i // 2}_L" for i in range(80)],
            "member": f"fold_{fold}",
            "model_fold": fold,
            "row_fold": fold,
            "tta": -1,
            "target_cancer": target,
            "pred_cancer": np.clip(generator.normal(0.2 + 0.3 * target, 0.2), 0, 1).astype(np.float32),
        }
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run of two folds, a bundle and a submission."""
    monkeypatch.chdir(tmp_path)
    for fold in range(2):
        folder = tmp_path / "runs" / "baseline" / f"fold_{fold}"
        write_yaml(folder / "config.yaml", dump(CONFIG))
        write_parquet(folder / "oof.parquet", predictions(fold))
        identity = {"run_id": f"{fold}" * 32, "experiment": "breast", "commit": "0123456789ab-dirty"}
        write_json(folder / "mlflow_run.json", identity)
    bundle = tmp_path / "models" / "best one"
    write_yaml(bundle / "config.yaml", dump(CONFIG))
    write_parquet(bundle / "oof.parquet", pd.concat([predictions(0), predictions(1)]))
    spec = BundleSpec(
        competition="breast",
        aggregation="mean",
        threshold=Threshold(0.31, 0.25, 0.375, 0.5),
        members=(Member("fold_0.safetensors", "0" * 64, 0, 3),),
        tta=("none",),
        priors={"cancer": {"overall": 0.02}},
        commit="fedcba9876543210",
    )
    write_json(bundle / "bundle.json", dump(spec))
    (tmp_path / "submission.csv").write_text("prediction_id,cancer\n1_L,0\n")
    return tmp_path


def rsna(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["log", *arguments])
    return int(caught.value.code or 0)


def test_a_run(project: Path) -> None:
    assert rsna("--run", "runs/baseline", "-m", "the first try") == 0
    text = (project / "LOG.md").read_text()
    assert "resnet18, 1024x512 pixels" in text
    assert "- code 0123456789ab-dirty\n" in text
    assert "[runs/baseline](runs/baseline)" in text
    assert f"MLflow run `{'1' * 32}` in breast" in text
    assert "\nthe first try\n" in text

    units = pd.concat([predictions(0), predictions(1)]).groupby("prediction_id").mean(numeric_only=True)
    header, _, *rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows] == ["| 0", "| 1", "| all"]
    auc = roc_auc_score(units["target_cancer"], units["pred_cancer"])
    assert rows[-1][header.index("auc")] == f"{auc:.4f}"


def test_logging_again_updates_one_entry(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert rsna("--run", "runs/baseline/") == 0
    assert "nothing new" in capsys.readouterr().out
    (project / "LOG.md").write_text((project / "LOG.md").read_text() + "my remark\n")
    write_parquet(project / "runs" / "baseline" / "fold_1" / "oof.parquet", predictions(1, positives=False))
    assert rsna("--run", str(project / "runs" / "baseline")) == 0
    text = (project / "LOG.md").read_text()
    assert text.count("run baseline") == 1
    assert text.endswith("my remark\n")
    assert "| 1 | - |" in text


def test_a_run_without_a_positive(project: Path) -> None:
    for fold in range(2):
        path = project / "runs" / "baseline" / f"fold_{fold}" / "oof.parquet"
        write_parquet(path, predictions(fold, positives=False))
    assert rsna("--run", "runs/baseline") == 0
    assert "No threshold: " in (project / "LOG.md").read_text()


def test_a_bundle(project: Path) -> None:
    assert rsna("--bundle", "models/best one") == 0
    text = (project / "LOG.md").read_text()
    assert "- code fedcba987654\n" in text
    assert "(models/best%20one)" in text
    assert "Threshold 0.3100 (as good: 0.2500 to 0.3750), score 0.5000." in text


def test_a_submission(project: Path) -> None:
    command = ["--submission", "submission.csv", "--score", "public=0.41", "--bundle", "models/best one"]
    assert rsna(*command) == 0
    assert rsna(*command, "--score", "private=0.43") == 0
    text = (project / "LOG.md").read_text()
    (heading,) = [line for line in text.splitlines() if line.startswith("## ")]
    assert heading.endswith(": submission, public 0.41, private 0.43")
    assert "- bundle [models/best one]" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to log"),
        (["--run", "runs/baseline", "--bundle", "models/best one"], "say what to log"),
        (["--submission", "submission.csv"], "say what to log"),
        (["--run", "runs/baseline/fold_0"], "holds no finished fold"),
        (["--run", "runs/absent"], "holds no finished fold"),
        (["--bundle", "runs/baseline"], "bundle.json"),
        (["--submission", "absent.csv", "--score", "1"], "no submission file absent.csv"),
        (["--submission", "submission.csv", "--score", "high"], "write a number"),
        (["--run", "runs/baseline", "--file", "runs"], "cannot read the logbook"),
    ],
)
def test_wrong_input_is_one_line(
    project: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rsna(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (project / "LOG.md").exists()
