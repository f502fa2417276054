"""CMMD, the Chinese Mammography Database: 1,775 patients with biopsied lesions (Cui et al., TCIA 2021), DICOM.

The table has a row for each breast with a lesion. Side and view are in the DICOM headers only.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from rsna.errors import InputError
from rsna.preparation.external.base import ExternalSource, LayoutError, find
from rsna.preparation.external.headers import read_headers
from rsna.preparation.external.sheets import Cell, read_sheet

TABLE = "CMMD_clinicaldata_revision"
CELLS = (
    Cell("patient", ("ID1",)),
    Cell("laterality", ("LeftRight",), ("l", "r")),
    Cell("age", ("Age",), required=False),
    Cell("finding", ("classification",), ("benign", "malignant")),
)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CmmdOptions:
    """What the labels leave open.

    Attributes:
        unlabelled: What a breast without a row is, whose patient has one for the other breast: negative, or ignored
            (unknown).
    """

    unlabelled: Literal["negative", "ignored"] = "negative"


def read_rows(raw: Path, options: CmmdOptions) -> pd.DataFrame:
    """See `ExternalSource.rows`."""
    table = find(raw, f"{TABLE}.xlsx", f"{TABLE}*.csv", "label.csv", f"*/{TABLE}.xlsx", f"*/{TABLE}*.csv")
    images = find(raw, "CMMD/", "*/CMMD/")
    labels = read_sheet(table, CELLS)
    labels["laterality"] = labels["laterality"].str.upper()
    files = [path for path in sorted(images.rglob("*")) if path.suffix.lower() == ".dcm"]
    if not files:
        raise LayoutError("no file CMMD/<patient>/<study>/<series>/*.dcm")
    rows = _images(raw, images, files)
    unknown = ~rows["patient"].isin(labels["patient"])
    if unknown.all():
        raise InputError(f"{table} knows none of the patients of {images}, for instance {rows['patient'].iloc[0]}")
    return _with_labels(rows[~unknown], labels, options).reset_index(drop=True)


def _images(raw: Path, images: Path, files: list[Path]) -> pd.DataFrame:
    """One row per image whose header tells its side and view."""
    rows = read_headers(files)
    folders = pd.Series([path.relative_to(images).parts[0] for path in files])
    rows["patient"] = rows["patient"].where(rows["patient"] != "", folders)
    rows["image"] = rows["patient"] + "_" + pd.Series([path.stem for path in files])
    again = rows["image"].duplicated(keep=False)  # one of several series: then that is part of the name
    series = pd.Series([f"{path.parent.name}_{path.stem}" for path in files])
    rows["image"] = rows["image"].mask(again, rows["patient"] + "_" + series)
    rows["path"] = [path.relative_to(raw).as_posix() for path in files]
    usable = rows["laterality"].isin(("L", "R")) & (rows["view"] != "") & (rows["error"] == "")
    if not usable.any():
        raise InputError(f"no DICOM header below {images} tells side and view; {rows['error'].iloc[0] or files[0]}")
    if not usable.all():
        first = rows[~usable].iloc[0]
        logger.warning(
            "%d files are left out, their headers do not tell side and view: %s %s",
            (~usable).sum(),
            first["path"],
            first["error"],
        )
    return rows[usable]


def _with_labels(rows: pd.DataFrame, labels: pd.DataFrame, options: CmmdOptions) -> pd.DataFrame:
    malignant = (labels["finding"].str.lower() == "malignant").groupby([labels["patient"], labels["laterality"]]).any()
    breast = pd.MultiIndex.from_frame(rows[["patient", "laterality"]])
    cancer = malignant.astype(float).reindex(breast)
    other = {"negative": 0.0, "ignored": np.nan}[options.unlabelled]
    rows = rows.assign(
        cancer=cancer.fillna(other).to_numpy(), biopsy=cancer.notna().map({True: 1.0, False: np.nan}).to_numpy()
    )
    if "age" in labels:
        rows["age"] = rows["patient"].map(labels.drop_duplicates("patient").set_index("patient")["age"])
    return rows


SOURCE = ExternalSource(
    name="cmmd",
    title="CMMD",
    expects=f"{TABLE}.xlsx (or .csv) and CMMD/<patient>/<study>/<series>/1-1.dcm",
    rows=read_rows,
    options=CmmdOptions,
)
