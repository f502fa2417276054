"""The generator's truth against its own pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsna.errors import InputError
from rsna.preparation.boxes import read_boxes
from rsna.synthetic.options import BreastOptions
from rsna.synthetic.phantom import breast_box, draw_view
from rsna.synthetic.population import draw_patient
from rsna.synthetic.render import Renderer
from rsna.synthetic.truth import read_options, write_truth

OPTIONS = BreastOptions(40, 1, scale=0.05, seed=5, positive_rate=0.5)


def test_every_image_has_a_box_and_lesions_lie_in_it(lab: Path) -> None:
    boxes = read_boxes(lab / "truth" / "boxes.csv").set_index("name")
    images = {path.stem for path in (lab / "data").rglob("*.dcm")}
    assert set(boxes.index) == images
    lesions = pd.read_csv(lab / "truth" / "lesions.csv", dtype={"name": str})
    assert {0, 1} == set(lesions["cancer"])
    outer = boxes.loc[lesions["name"]].reset_index()
    x, y = (lesions["xmin"] + lesions["xmax"]) / 2, (lesions["ymin"] + lesions["ymax"]) / 2
    assert (x.between(outer["xmin"], outer["xmax"]) & y.between(outer["ymin"], outer["ymax"])).all()


@pytest.mark.parametrize("index", range(12))
def test_the_box_ends_where_the_drawn_breast_does(index: int) -> None:
    renderer = Renderer(OPTIONS, replace(draw_patient(OPTIONS, "train", index), implant=False))
    breast = renderer.patient.breasts[0]
    for number, image in enumerate(breast.images):
        frame, _ = renderer.exposure(breast, number)
        anatomy = renderer.anatomies[0]
        top, left, bottom, right = breast_box(anatomy, image.view, frame)
        _, shown = draw_view(anatomy, image.view, False, frame, np.random.default_rng(0))
        tissue = shown > 0  # exactly where the skin's distance is positive
        assert left == 0
        assert abs(np.flatnonzero(tissue.any(axis=0))[-1] + 1 - right) <= 1
        depth = tissue.sum(axis=1) * frame.pitch - frame.chest_shift  # mm from the chest wall, row by row
        thick = np.flatnonzero(depth > 0.15 * anatomy.depth)
        assert top <= thick[0] <= top + 3
        assert bottom - 3 <= thick[-1] + 1 <= bottom


def test_a_cancer_changes_the_picture_in_its_box(lab: Path) -> None:
    options = read_options(lab / "data")
    lesions = pd.read_csv(lab / "truth" / "lesions.csv", dtype={"name": str})
    tried = 0
    for index in range(options.patients):
        patient = draw_patient(options, "train", index)
        with_cancers, without = (Renderer(options, patient, with_cancers=shown) for shown in (True, False))
        for breast in patient.breasts:
            if not breast.cancer or patient.implant:
                continue
            for number, image in enumerate(breast.images):
                changed = with_cancers.pixels(breast, number).astype(int) - without.pixels(breast, number)
                row = lesions[(lesions["name"] == image.image_id) & (lesions["cancer"] == 1)].iloc[0]
                rows, columns = np.mgrid[: changed.shape[0], : changed.shape[1]]
                weight = np.abs(changed) / max(1, np.abs(changed).sum())
                y, x = (rows * weight).sum() / changed.shape[0], (columns * weight).sum() / changed.shape[1]
                assert row["xmin"] < x < row["xmax"], image
                assert row["ymin"] < y < row["ymax"], image
                tried += 1
    assert tried >= 4


def test_a_folder_that_is_no_synthetic_competition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no synthetic\.json"):
        write_truth(tmp_path, tmp_path / "truth")
    (tmp_path / "synthetic.json").write_text('{"options": {"patients": 3}}')
    with pytest.raises(InputError, match="altered"):
        write_truth(tmp_path, tmp_path / "truth")
