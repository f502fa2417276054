"""The submit path runs with nothing installed but what is on Kaggle for sure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rsna.inference import Bundle

ROOT = Path(__file__).resolve().parents[2]

# As `sitecustomize` it reaches the decoding workers too. To the import system the modules are not installed.
HIDE = """
from importlib.machinery import PathFinder

HIDDEN = {
    "hydra", "omegaconf", "lightning", "pytorch_lightning", "mlflow", "kaggle", "google", "albumentations", "sklearn",
    "scipy", "rich", "typer", "click", "matplotlib", "numba", "onnxruntime", "optuna",
}
find = PathFinder.find_spec

def find_spec(name, path=None, target=None):
    return None if name.split(".")[0] in HIDDEN else find(name, path, target)

PathFinder.find_spec = staticmethod(find_spec)
"""

PREDICT = """
import sys
from importlib.util import find_spec
from pathlib import Path
from sitecustomize import HIDDEN

assert not any(map(find_spec, HIDDEN)), "nothing is hidden"
from rsna.inference import PredictOptions, predict_supervised

bundle, data, out = map(Path, sys.argv[1:])
report = predict_supervised(bundle, data, out, probability=True, options=PredictOptions(1, device="cpu"))
heavy = {"torch", "timm", "cv2", "pydicom"}  # the parent that outlives the rest stays small
print(report["images"], report["filled"], sorted((HIDDEN | heavy) & set(sys.modules)))
"""


def test_a_folder_is_predicted_with_all_else_hidden(bundle: Bundle, competition: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    (tmp_path / "predict.py").write_text(PREDICT)
    out = tmp_path / "out" / "submission.csv"
    done = subprocess.run(
        [sys.executable, str(tmp_path / "predict.py"), str(bundle.folder), str(competition), str(out)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "12 0 []"
    assert out.is_file()
