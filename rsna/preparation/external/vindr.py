"""VinDr-Mammo: 5,000 Vietnamese examinations, each breast assessed by BI-RADS (Nguyen et al., Scientific Data 2023).

There is no pathology. BI-RADS 5, nearly always a cancer, is taken as positive; what 4 means is a choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from rsna.preparation.external.base import ExternalSource, find
from rsna.preparation.external.sheets import Cell, read_sheet

BIRADS = tuple(f"bi-rads {grade}" for grade in range(7))
CELLS = (
    Cell("patient", ("study_id",)),
    Cell("image", ("image_id",)),
    Cell("laterality", ("laterality",), ("l", "r")),
    Cell("view", ("view_position",)),
    Cell("birads", ("breast_birads",), BIRADS),
    Cell("density", ("breast_density",), required=False),
)
METADATA = (
    Cell("image", ("SOP Instance UID",)),
    Cell("age", ("Patient's Age",), required=False),
    Cell("machine", ("Manufacturer's Model Name",), required=False),
)


@dataclass(frozen=True)
class VindrOptions:
    """What the labels leave open.

    Attributes:
        birads4: What a breast of BI-RADS 4 is: a negative, a soft positive, or ignored (unknown).
        soft: The soft target.
    """

    birads4: Literal["negative", "soft", "ignored"] = "negative"
    soft: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.soft <= 1:
            raise ValueError(f"soft must lie in (0, 1], got {self.soft}")

    @property
    def value(self) -> float:
        """The target of BI-RADS 4."""
        return {"negative": 0.0, "soft": self.soft, "ignored": np.nan}[self.birads4]


def read_rows(raw: Path, options: VindrOptions) -> pd.DataFrame:
    """See `ExternalSource.rows`."""
    annotations = find(raw, "breast-level_annotations.csv")
    find(raw, "images/")
    rows = read_sheet(annotations, CELLS)
    rows["laterality"] = rows["laterality"].str.upper()
    rows["path"] = "images/" + rows["patient"] + "/" + rows["image"] + ".dicom"
    rows["birads"] = rows["birads"].str[-1]
    grades = rows["birads"].astype(int)
    rows["cancer"] = grades.map(lambda grade: 1.0 if grade >= 5 else options.value if grade == 4 else 0.0)
    if "density" in rows:
        rows["density"] = rows["density"].str[-1:].str.upper()
    return _with_metadata(rows, raw)


def _with_metadata(rows: pd.DataFrame, raw: Path) -> pd.DataFrame:
    """Add what the DICOM headers say, where the set's own extract of them is there."""
    path = raw / "metadata.csv"
    if not path.is_file():
        return rows
    metadata = read_sheet(path, METADATA).drop_duplicates("image").set_index("image")
    if "age" in metadata:
        rows["age"] = rows["image"].map(metadata["age"]).str.extract(r"^(\d+)Y?$", expand=False)  # 053Y
    if "machine" in metadata:
        rows["machine"] = "vindr " + rows["image"].map(metadata["machine"]).fillna("")
    return rows


SOURCE = ExternalSource(
    name="vindr",
    title="VinDr-Mammo",
    expects="breast-level_annotations.csv and images/<study_id>/<image_id>.dicom",
    rows=read_rows,
    options=VindrOptions,
)
