"""`train_detector`: from images and boxes to a run folder with weights and their average precision."""

from __future__ import annotations

import logging
from pathlib import Path

from rsna.config import differences, dump
from rsna.config.detector import DetectConfig
from rsna.errors import InputError
from rsna.io import ensure_dir, read_json, read_yaml, write_json, write_yaml
from rsna.models import save_weights
from rsna.preparation.detection.evaluate import evaluate
from rsna.preparation.detection.networks import CONFIG_FILE, WEIGHTS_FILE, load_detector
from rsna.preparation.detection.precision import coco_evaluator
from rsna.training.detection.data import make_thumbnails, split_truth
from rsna.training.detection.fit import fit_detector
from rsna.training.folder import ELSEWHERE
from rsna.training.seeds import cpu_threads

METRICS_FILE, CHECKPOINT_FILE, THUMBNAILS = "metrics.json", "last.ckpt", "thumbnails"

logger = logging.getLogger(__name__)


def train_detector(config: DetectConfig) -> dict[str, float]:
    """Train a detector, or go on with a killed training; a finished one is left alone.

    The run folder receives `config.yaml`, thumbnails, `last.ckpt` after every epoch, `weights.safetensors` (the
    averaged weights of the last epoch) and, last, `metrics.json`.

    Returns:
        `ap`, `ap50`, `ap75` of these weights on the held-out patients.

    Raises:
        InputError: For a wrong config or table, a folder of another config, and where pycocotools is missing.
        RsnaError: Where the training diverges.
    """
    coco_evaluator()
    folder = Path(config.env.runs) / config.name
    _claim(folder, config)
    if not (folder / METRICS_FILE).is_file():
        with cpu_threads(config.threads):
            _train(config, folder)
    return {name: float(value) for name, value in read_json(folder / METRICS_FILE)["metrics"].items()}


def _train(config: DetectConfig, folder: Path) -> None:
    training, held_out = split_truth(config)
    logger.info("%d images to learn from, %d held out", len(training.files), len(held_out.files))
    examples = make_thumbnails(training, folder / THUMBNAILS, config.env.workers)
    save_weights(fit_detector(config, examples, folder / CHECKPOINT_FILE), folder / WEIGHTS_FILE)
    found = evaluate(load_detector(folder), held_out, workers=config.env.workers)
    write_json(
        folder / METRICS_FILE, {"images": found.images, "held_out": sorted(held_out.files), "metrics": found.precision}
    )


def _claim(folder: Path, config: DetectConfig) -> None:
    """Make the folder and mark it as this config's, or check that it is."""
    ensure_dir(folder)
    path = folder / CONFIG_FILE
    if path.is_file():
        found = differences(read_yaml(path), dump(config))
        other = [line for line in found if not line.startswith(ELSEWHERE)]
        if other:
            raise InputError(
                f"{folder} belongs to another config ({'; '.join(other)}); give another name=, or delete it"
            )
    write_yaml(path, dump(config))
