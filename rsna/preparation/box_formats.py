"""Boxes as others write them: pixel tables, YOLO labels and COCO annotations become the table of `boxes.py`."""

from __future__ import annotations

import math
import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import pandas as pd

from rsna.errors import InputError
from rsna.io import read_json, read_text
from rsna.preparation.boxes import COLUMNS, SIDES
from rsna.tables import read_csv

OVERSHOOT = 0.1  # of a side: detectors reach over the edge; more is another size
SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom", ".txt")


def convert_boxes(path: Path, size: tuple[int, int] | None = None, transposed: bool = False) -> pd.DataFrame:
    """Read boxes of any known format: a folder of YOLO labels, COCO annotations (.json), or a table.

    Args:
        path: Where they are.
        size: (rows, columns) of the pictures that a table's pixels count; None where it holds fractions.
        transposed: The table's x and y are exchanged, as in the boxes that the 6th place published.

    Returns:
        `name` (the file's name without folder and suffix, and without what stands before an @), the sides in fractions
        and `score`.

    Raises:
        InputError: Naming the file and what is wrong in it.
    """
    yolo, coco = path.is_dir(), path.suffix.lower() == ".json"
    if (yolo or coco) and (size or transposed):
        raise InputError(f"{path} tells its own sizes: --size and --transposed belong to tables")
    if yolo:
        return read_yolo(path)
    return read_coco(path) if coco else read_table(path, size, transposed)


def image_name(file: str) -> str:
    """The image id of a label's file name: `10006/1459541791.png`, `10006@1459541791.txt` and `1459541791` are one."""
    name = PurePosixPath(file.replace("\\", "/")).name
    stem = next((name[: -len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix)), name)
    return unquote(stem.rpartition("@")[2])


def read_table(path: Path, size: tuple[int, int] | None, transposed: bool) -> pd.DataFrame:
    """A table of `name`, `xmin`, `ymin`, `xmax`, `ymax` and perhaps `score`, in pixels or fractions."""
    table = read_csv(path, COLUMNS)
    table["name"] = table["name"].map(image_name)
    table[SIDES] = table[SIDES].astype("float64")
    if transposed:
        table[SIDES] = table[["ymin", "xmin", "ymax", "xmax"]].to_numpy()
    if size is not None:
        rows, columns = size
        outside = (table["xmax"] > (1 + OVERSHOOT) * columns) | (table["ymax"] > (1 + OVERSHOOT) * rows)
        if outside.any():
            row = int(outside.to_numpy().argmax())
            raise InputError(
                f"{path}, row {row + 2}: the box reaches far outside {rows}x{columns} pixels; correct --size"
            )
        if table[SIDES].to_numpy().max() <= 1:
            raise InputError(f"{path} holds fractions already, no pixels; leave out --size")
        table[["xmin", "xmax"]] = (table[["xmin", "xmax"]] / columns).clip(0, 1)
        table[["ymin", "ymax"]] = (table[["ymin", "ymax"]] / rows).clip(0, 1)
    return table if "score" in table else table.assign(score=1.0)


def read_yolo(folder: Path) -> pd.DataFrame:
    """A folder of text files, one line a box: class, centre x, centre y, width, height (fractions), perhaps a score."""
    files = [path for path in sorted(folder.rglob("*.txt")) if path.name != "classes.txt"]
    if not files:
        raise InputError(f"{folder} holds no label files *.txt; name the folder of the labels")
    rows = []
    for path in files:
        for number, line in enumerate(read_text(path).splitlines(), 1):
            if line.strip():
                rows.append((image_name(path.name), *_yolo_box(line, f"{path}, line {number}")))
    return pd.DataFrame(rows, columns=["name", *SIDES, "score"])


def _yolo_box(line: str, where: str) -> tuple[float, ...]:
    values = [_number(text, where) for text in line.split()]
    if len(values) not in (5, 6):
        raise InputError(f"{where}: expected class, x, y, width, height and perhaps a score, got {line.strip()[:80]!r}")
    x, y, width, height = values[1:5]
    if not (0 <= x <= 1 and 0 <= y <= 1 and 0 < width <= 1 and 0 < height <= 1):
        raise InputError(f"{where}: YOLO boxes are fractions in [0, 1] of a size above 0, got {line.strip()[:80]!r}")
    sides = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return (*(min(max(side, 0.0), 1.0) for side in sides), values[5] if len(values) == 6 else 1.0)


def _number(text: Any, where: str) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {str(text)[:40]!r} is not a number")
    return value


def read_coco(path: Path) -> pd.DataFrame:
    """COCO annotations: `images` with their sizes, and `annotations` with `bbox` (x, y, width, height in pixels)."""
    content = read_json(path)
    try:
        images = {image["id"]: image for image in content["images"]}
        rows = [_coco_box(entry, images[entry["image_id"]], path) for entry in content["annotations"]]
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path} is no COCO annotation file ({type(error).__name__}: {error}); it needs images (id, file_name,"
            " width, height) and annotations (image_id, bbox)"
        ) from error
    if not rows:
        raise InputError(f"{path} has no annotations")
    return pd.DataFrame(rows, columns=["name", *SIDES, "score"])


def _coco_box(entry: dict[str, Any], image: dict[str, Any], path: Path) -> tuple[Any, ...]:
    where = f"{path}, annotation {entry.get('id', '?')}"
    x, y, width, height = (_number(value, where) for value in entry["bbox"])
    columns, rows = _number(image["width"], where), _number(image["height"], where)
    if not (columns > 0 and rows > 0 and width > 0 and height > 0 and x < columns and y < rows):
        raise InputError(f"{where}: the box {entry['bbox']} does not lie in an image of {rows:g}x{columns:g} pixels")
    sides = (x / columns, y / rows, (x + width) / columns, (y + height) / rows)
    score = _number(entry.get("score", 1.0), where)
    return (image_name(str(image["file_name"])), *(min(max(side, 0.0), 1.0) for side in sides), score)


def parse_size(text: str) -> tuple[int, int]:
    """Read `HEIGHTxWIDTH` in pixels, or raise `InputError`."""
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if not match or "0" in match.groups():
        raise InputError(f"{text!r} is no size; give HEIGHTxWIDTH in pixels, for instance 2048x2048")
    return int(match[1]), int(match[2])
