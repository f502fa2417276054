"""A synthetic competition with its truth, and a detector that was trained on it for a moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from detecting import configure

from rsna.synthetic import BreastOptions, make_breast
from rsna.synthetic.truth import write_truth
from rsna.training.detection import train_detector


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data`, a competition of five patients, and its `truth`; not to be changed."""
    root = tmp_path_factory.mktemp("detector")
    make_breast(root / "data", BreastOptions(patients=5, hidden_patients=1, scale=0.03, seed=2, positive_rate=0.5))
    write_truth(root / "data", root / "truth")
    return root


@pytest.fixture(scope="session")
def run(lab: Path) -> Path:
    """The folder of a run that has seen a few pictures twice; its boxes are bad, and boxes."""
    pytest.importorskip("pycocotools")
    train_detector(configure(lab, "trained", ["epochs=2"]))
    return lab / "runs" / "trained"
