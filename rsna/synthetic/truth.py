"""What is true of a synthetic competition and not in its tables: where each breast and each lesion lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from rsna.errors import InputError
from rsna.io import digest, ensure_dir, read_json
from rsna.log import progress
from rsna.synthetic.breast import FORMAT, MARK
from rsna.synthetic.geometry import Frame
from rsna.synthetic.lesions import CANCERS
from rsna.synthetic.options import SPLITS, BreastOptions
from rsna.synthetic.phantom import breast_box
from rsna.synthetic.population import Breast, Patient, draw_patient
from rsna.synthetic.render import Renderer
from rsna.synthetic.shapes import lesion_centre
from rsna.tables import write_csv

BOXES_FILE, LESIONS_FILE = "boxes.csv", "lesions.csv"
SIDES = ["xmin", "ymin", "xmax", "ymax"]
BODY = 1.2  # half a lesion's box, in radii: an outline is rough


def write_truth(competition: Path, folder: Path) -> tuple[int, int]:
    """Write the true boxes of a synthetic competition's images, without drawing any of them.

    `boxes.csv` has `name`, `xmin`, `ymin`, `xmax`, `ymax` (fractions of the image's sides), as `rsna prepare boxes=`
    takes it; `lesions.csv` has the same columns and `kind`, `cancer` and `contrast`, one row per lesion and image.

    Returns:
        How many boxes and lesions there are.

    Raises:
        InputError: Where the folder is no synthetic competition, or one of another version.
    """
    options = read_options(competition)
    patients = [(split, index) for split in SPLITS for index in range(options.size(split))]
    boxes: list[dict[str, Any]] = []
    lesions: list[dict[str, Any]] = []
    for split, index in progress(patients, "true boxes"):
        patient = draw_patient(options, split, index)
        for box, found in _images(options, patient):
            boxes.append(box)
            lesions += found
    ensure_dir(folder)
    write_csv(folder / BOXES_FILE, pd.DataFrame(boxes, columns=["name", *SIDES]))
    write_csv(folder / LESIONS_FILE, pd.DataFrame(lesions, columns=["name", *SIDES, "kind", "cancer", "contrast"]))
    return len(boxes), len(lesions)


def read_options(competition: Path) -> BreastOptions:
    """The options that a synthetic competition was made with.

    Raises:
        InputError: Where the folder is none, or one of another version.
    """
    path = competition / MARK
    if not path.is_file():
        raise InputError(
            f"{competition} is no synthetic competition: there is no {MARK}; name the folder of `rsna synth`"
        )
    mark = read_json(path)
    options = mark.get("options") if isinstance(mark, dict) else None
    if not isinstance(options, dict) or mark.get("digest") != digest({"format": FORMAT, "options": options}):
        raise InputError(f"{path} was altered or written by another version; make the competition again")
    return BreastOptions(**options)


def _images(options: BreastOptions, patient: Patient) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The row of the box and the rows of the lesions of every image of a patient."""
    renderer = Renderer(options, patient)
    for breast in patient.breasts:
        for number, image in enumerate(breast.images):
            anatomy = renderer.anatomies["LR".index(breast.laterality)]
            frame, _ = renderer.exposure(breast, number)
            box = _fractions(breast_box(anatomy, image.view, frame), frame, breast)
            yield {"name": image.image_id, **box}, _lesions(renderer, breast, number)


def _lesions(renderer: Renderer, breast: Breast, number: int) -> list[dict[str, Any]]:
    """The lesions whose centre lies in the image."""
    image, anatomy = breast.images[number], renderer.anatomies["LR".index(breast.laterality)]
    frame, seen = renderer.exposure(breast, number)
    rows = []
    for lesion in seen:
        row, column = lesion_centre(lesion, anatomy, image.view, frame)
        if 0 <= row < frame.shape[0] and 0 <= column < frame.shape[1]:
            half = BODY * lesion.radius / frame.pitch
            sides = _fractions((row - half, column - half, row + half, column + half), frame, breast)
            about = {"kind": lesion.kind, "cancer": int(lesion.kind in CANCERS), "contrast": lesion.contrast}
            rows.append({"name": image.image_id, **sides, **about})
    return rows


def _fractions(box: tuple[float, float, float, float], frame: Frame, breast: Breast) -> dict[str, float]:
    """(top, left, bottom, right) in pixels as fractions of the picture's sides, inside it, mirrored as it is."""
    (rows, columns), (top, left, bottom, right) = frame.shape, box
    if breast.laterality == "R":
        left, right = columns - right, columns - left
    sides = (left / columns, top / rows, right / columns, bottom / rows)
    return {name: min(max(float(side), 0.0), 1.0) for name, side in zip(SIDES, sides, strict=True)}
