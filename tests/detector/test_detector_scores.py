"""Average precision, and what regions lose."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

from rsna.errors import InputError
from rsna.imaging import Region
from rsna.imaging.detector import Detection
from rsna.preparation.detection.precision import average_precision
from rsna.preparation.detection.regions import Losses, compare_losses, with_margin

UNIT = Region(0.0, 0.0, 0.5, 1.0)


def shortened(share: float) -> Region:
    """A region whose overlap (IoU) with `UNIT` is `share`."""
    return Region(0.0, 0.0, 0.5, share)


@pytest.mark.parametrize(
    ("found", "ap", "ap50"),
    [
        ([Detection(UNIT, 0.9), Detection(UNIT, 0.2)], 1.0, 1.0),
        ([Detection(UNIT, 0.9), None], 0.505, 0.505),  # 51 of COCO's 101 recalls are reached
        ([None, None], 0.0, 0.0),
        ([Detection(Region(0.6, 0, 1, 1), 0.9)] * 2, 0.0, 0.0),
        ([Detection(shortened(0.81), 0.9)] * 2, 0.7, 1.0),  # passes 0.50, 0.55, … 0.80
        ([Detection(Region(0.6, 0, 1, 1), 0.9), Detection(UNIT, 0.8)], 0.2525, 0.2525),  # half as precise
    ],
)
def test_average_precision_of_known_boxes(found: list[Detection | None], ap: float, ap50: float) -> None:
    pytest.importorskip("pycocotools")
    scores = average_precision([UNIT, UNIT], found)
    assert scores["ap"] == pytest.approx(ap, abs=0.003)
    assert scores["ap50"] == pytest.approx(ap50, abs=0.003)


def test_without_pycocotools_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(InputError, match=r"pip install rsna\[detect\]"):
        average_precision([UNIT], [None])


def test_lost_and_cut_lesions_are_counted_for_both_methods() -> None:
    lesions = pd.DataFrame(
        {
            "name": ["a", "a", "b", "b"],
            "xmin": [0.1, 0.45, 0.45, 0.8],
            "ymin": [0.1, 0.1, 0.1, 0.1],
            "xmax": [0.2, 0.52, 0.6, 0.9],
            "ymax": [0.2, 0.2, 0.2, 0.2],
        }
    )
    half, all_of_it = Region(0.0, 0.0, 0.5, 1.0), Region(0.0, 0.0, 1.0, 1.0)
    ours, theirs = compare_losses(lesions, {"a": half, "b": half}, {"a": all_of_it, "b": half})
    assert ours == Losses(4, lost=2, cut=3, lost_alone=0, cut_alone=1)
    assert theirs == Losses(4, lost=2, cut=2, lost_alone=0, cut_alone=0)


def test_a_margin_stays_in_the_image() -> None:
    assert with_margin(Region(0.0, 0.5, 0.5, 0.9), 0.5) == Region(0.0, 0.3, 0.75, 1.0)
