"""Makes the synthetic breast competition: images in parallel, then the tables. Resumable."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2

from rsna.errors import InputError
from rsna.io import digest, ensure_dir, read_json, write_bytes, write_json
from rsna.log import progress
from rsna.synthetic import tables
from rsna.synthetic.options import SPLITS, BreastOptions, Split
from rsna.synthetic.population import draw_patient
from rsna.synthetic.render import Renderer

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

FORMAT = 1  # raised whenever the same options give other bytes
MARK = "synthetic.json"
IN_FLIGHT = 4  # patients per worker that are handed out at a time


def make_breast(folder: str | Path, options: BreastOptions, workers: int = 1) -> None:
    """Make the competition in `folder`, or go on with one that was interrupted.

    Images that are there already are kept: they are written atomically, so what has its name is whole.

    Args:
        folder: Gets train.csv, test.csv, sample_submission.csv, train_images/, test_images/ and hidden/.
        options: What to make. The bytes depend on them alone.
        workers: Processes, 1 or more.

    Raises:
        InputError: If the folder holds something else, or cannot be written.
    """
    root = ensure_dir(folder)
    _claim(root, options)
    _draw_images(root, options, workers)
    tables.write_train(root, tables.draw_patients(options, "train"))
    tables.write_test(root, tables.draw_patients(options, "test"))
    tables.write_test(root / "hidden", tables.draw_patients(options, "hidden"))
    tables.write_solution(root / "hidden", tables.draw_patients(options, "hidden"))
    log.info("made %d training and %d hidden patients in %s", options.patients, options.hidden_patients, root)


def image_path(root: Path, split: Split, patient_id: str, image_id: str) -> Path:
    """Where an image lies in the competition's folder."""
    base = {"train": root / "train_images", "test": root / "test_images", "hidden": root / "hidden" / "test_images"}
    return base[split] / patient_id / f"{image_id}.dcm"


def _claim(root: Path, options: BreastOptions) -> None:
    """Mark the folder with the options, or check that it was begun with the same ones."""
    mark = {"format": FORMAT, "options": options.as_dict()}
    mark["digest"] = digest(mark)
    path = root / MARK
    if path.exists():
        found = read_json(path)
        if not isinstance(found, dict) or found.get("digest") != mark["digest"]:
            raise InputError(f"{root} was made with other options (see {path}); choose another folder or delete it")
        for rest in root.rglob(".part-*"):  # a killed run leaves the file that it was writing
            rest.unlink(missing_ok=True)
    elif any(not entry.name.startswith(".") for entry in root.iterdir()):
        raise InputError(f"{root} is not empty and holds no {MARK}; choose an empty folder")
    else:
        write_json(path, mark)


def _draw_images(root: Path, options: BreastOptions, workers: int) -> None:
    patients = [(split, index) for split in SPLITS for index in range(options.size(split))]
    work = partial(_draw_patient_images, root, options)
    done = map(work, patients) if workers == 1 else bounded_map(work, patients, workers)
    for _ in progress(done, "drawing patients", len(patients)):
        pass


def _draw_patient_images(root: Path, options: BreastOptions, patient: tuple[Split, int]) -> None:
    split, index = patient
    drawn = draw_patient(options, split, index)
    renderer = Renderer(options, drawn)
    for breast in drawn.breasts:
        for number, image in enumerate(breast.images):
            path = image_path(root, split, drawn.patient_id, image.image_id)
            if not path.exists():
                write_bytes(path, renderer.dicom(breast, number))


def bounded_map(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Map in order over spawned processes, with a bounded number of items handed out, however many there are."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= IN_FLIGHT * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _begin_worker() -> None:
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Without this a worker would wait for ever for work from a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
