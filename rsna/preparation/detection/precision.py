"""Average precision as COCO defines it, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from rsna.errors import InputError
from rsna.imaging import Region
from rsna.imaging.detector import Detection

CANVAS = 1000.0  # the unit of COCO's boxes; an overlap does not depend on it


def coco_evaluator() -> tuple[Any, Any]:
    """pycocotools' `COCO` and `COCOeval`.

    Raises:
        InputError: Where it is not installed.
    """
    try:
        from pycocotools.coco import COCO  # type: ignore[import-untyped]
        from pycocotools.cocoeval import COCOeval  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError("evaluating a detector needs pycocotools: pip install rsna[detect]") from error
    return COCO, COCOeval


def average_precision(truth: Sequence[Region], found: Sequence[Detection | None]) -> dict[str, float]:
    """AP over IoU thresholds 0.50 to 0.95 (`ap`), at 0.50 and at 0.75 (`ap50`, `ap75`), each in [0, 1].

    Args:
        truth: The one box of each image.
        found: The best box of each image, if it has one.
    """
    dataset, evaluation = coco_evaluator()
    images = [{"id": i, "width": CANVAS, "height": CANVAS} for i in range(1, len(truth) + 1)]
    true = [{"id": i, "image_id": i, "category_id": 1, "iscrowd": 0} | _box(r) for i, r in enumerate(truth, 1)]
    claims = [
        {"id": i, "image_id": i, "category_id": 1, "score": one.score} | _box(one.region)
        for i, one in enumerate(found, 1)
        if one is not None
    ]
    if not claims:
        return {"ap": 0.0, "ap50": 0.0, "ap75": 0.0}
    categories = [{"id": 1, "name": "region"}]
    with contextlib.redirect_stdout(io.StringIO()):  # it reports by printing
        expected, claimed = dataset(), dataset()
        expected.dataset = {"images": images, "annotations": true, "categories": categories}
        claimed.dataset = {"images": images, "annotations": claims, "categories": categories}
        expected.createIndex()
        claimed.createIndex()
        run = evaluation(expected, claimed, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {name: float(value) for name, value in zip(("ap", "ap50", "ap75"), run.stats[:3], strict=True)}


def _box(region: Region) -> dict[str, Any]:
    width, height = CANVAS * (region.xmax - region.xmin), CANVAS * (region.ymax - region.ymin)
    return {"bbox": [CANVAS * region.xmin, CANVAS * region.ymin, width, height], "area": width * height}
