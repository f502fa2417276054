"""Mini-DDSM: scanned films of 1,952 American patients (Lekamlage et al., 2020), 16-bit PNG.

The status is the patient's, not the breast's: in a patient with cancer, the breast with a drawn contour has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from rsna.errors import InputError
from rsna.preparation.external.base import ExternalSource, find
from rsna.preparation.external.sheets import Cell, read_sheet

IMAGES = "MINI-DDSM-Complete-PNG-16"
CONTOURS = ("Tumour_Contour", *(f"Tumour_Contour{i}" for i in range(2, 7)))
CELLS = (
    Cell("file", ("fileName",)),
    Cell("view", ("View",), ("cc", "mlo")),
    Cell("laterality", ("Side",), ("left", "right", "l", "r")),
    Cell("status", ("Status",), ("normal", "benign", "cancer")),
    *(Cell(name, (name,), required=name == CONTOURS[0]) for name in CONTOURS),
    Cell("age", ("Age",), required=False),
    Cell("density", ("Density",), required=False),
)
DENSITY = {"1": "A", "2": "B", "3": "C", "4": "D"}  # 0 stands for unknown
NO_CONTOUR = ("", "-", "nan", "none")


@dataclass(frozen=True)
class MiniDdsmOptions:
    """What the labels leave open.

    Attributes:
        other_side: What a breast without a contour is in a patient with cancer: negative, positive as the patient, or
            ignored (unknown).
    """

    other_side: Literal["negative", "positive", "ignored"] = "negative"


def read_rows(raw: Path, options: MiniDdsmOptions) -> pd.DataFrame:
    """See `ExternalSource.rows`."""
    path = find(raw, "Data-MoreThanTwoMasks/Data-MoreThanTwoMasks.xlsx", "**/Data-MoreThanTwoMasks.*", "**/DataWMask.*")
    images = find(raw, f"{IMAGES}/", f"*/{IMAGES}/").relative_to(raw).as_posix()
    rows = read_sheet(path, CELLS)
    names = rows["file"].str.extract(r"^(?P<patient>[A-Za-z]_(?P<folder>\d+)_\d+)\.(LEFT|RIGHT)_(CC|MLO)\.\w+$")
    if names["patient"].isna().any():
        row = int(names["patient"].isna().to_numpy().argmax())
        raise InputError(
            f"{path}, row {row + 2}, column fileName: {rows['file'][row]!r} is not like A_0099_1.LEFT_CC.png"
        )
    rows["patient"] = names["patient"]
    rows["image"] = rows["file"].str.rsplit(".", n=1).str[0]
    status = rows["status"].str.capitalize()
    rows["path"] = images + "/" + status + "/" + names["folder"] + "/" + rows["image"] + ".png"
    rows["laterality"], rows["view"] = rows["laterality"].str[0].str.upper(), rows["view"].str.upper()
    rows["cancer"] = _cancer(rows, options)
    if "density" in rows:
        rows["density"] = rows["density"].map(DENSITY)
    return rows


def _cancer(rows: pd.DataFrame, options: MiniDdsmOptions) -> pd.Series:
    """The target of each breast, from the patient's status and the breast's contours."""
    contours = [name for name in CONTOURS if name in rows]
    drawn = (~rows[contours].apply(lambda column: column.str.lower().isin(NO_CONTOUR))).any(axis=1)
    annotated = drawn.groupby([rows["patient"], rows["laterality"]]).transform("any")
    other = {"negative": 0.0, "positive": 1.0, "ignored": np.nan}[options.other_side]
    return pd.Series(np.where(rows["status"].str.lower() != "cancer", 0.0, np.where(annotated, 1.0, other)), rows.index)


SOURCE = ExternalSource(
    name="miniddsm",
    title="Mini-DDSM",
    expects=(
        "Data-MoreThanTwoMasks/Data-MoreThanTwoMasks.xlsx and"
        f" {IMAGES}/<Normal|Benign|Cancer>/<number>/<A_0099_1.LEFT_MLO>.png"
    ),
    rows=read_rows,
    options=MiniDdsmOptions,
    reader="stretched",
)
