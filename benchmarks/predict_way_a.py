"""The other side of `predict.py`: the same model fed by way A of `imaging.py`, in a process of its own.

python benchmarks/predict_way_a.py BUNDLE DATA OUT WORKERS
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from imaging import way_a


def run(bundle: Path, data: Path, out: Path, workers: int) -> None:
    """Predict a folder; workers import this module again, so torch is imported in here."""
    from rsna.competitions import create_competition
    from rsna.inference import Bundle, PredictOptions, Predictor, prediction_table

    opened = Bundle.open(bundle)
    table, size = create_competition("breast").test_table(data), opened.config.data.input
    predictor = Predictor(opened.models(), size, "cpu", PredictOptions().batch_size)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=out.parent) as pngs, ProcessPoolExecutor(workers, context) as pool:
        decode = partial(_decode, Path(pngs), size.height, size.width)
        pictures = pool.map(decode, (data / path for path in table["path"]), chunksize=4)
        probabilities = predictor.predict(picture[..., 0] for picture in pictures)
    predictions = prediction_table(table, probabilities, opened.spec.members, opened.targets)
    create_competition("breast").submission(predictions, "mean", None).to_csv(out, index=False)


def _decode(pngs: Path, height: int, width: int, path: Path) -> np.ndarray:
    folder = pngs / str(os.getpid())
    folder.mkdir(exist_ok=True)
    return way_a(path, height, width, folder)


if __name__ == "__main__":
    run(*map(Path, sys.argv[1:4]), int(sys.argv[4]))  # type: ignore[misc,arg-type]
