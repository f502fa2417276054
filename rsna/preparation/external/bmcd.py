"""BMCD, the breast micro-calcification dataset: 100 patients, one breast, two rounds each (Loizidou et al., 2021).

`recent` is the examination that was assessed, `prior` an earlier one of the same breast, read as normal at its time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from rsna.errors import InputError
from rsna.preparation.external.base import ExternalSource, LayoutError, find
from rsna.preparation.external.sheets import Cell, pick_columns, read_sheet, read_workbook

FOLDERS = {"normal": "Normal_cases", "suspicious": "Suspicious_cases"}
FILE = r"^(?P<view>CC|MLO)_(?P<round>prior|rece\w*)$"  # one file of the original is spelt CC_recemt.dcm
BIOPSIES = ("benign", "dcis", "malignant")
CELLS = (
    Cell("case", ("dir", "Case", "Case number", "Folder", "Patient", "Patient ID", "ID", "No", "Number")),
    Cell("laterality", ("laterality", "Side", "Breast", "Left/Right", "Breast side")),
    Cell("age", ("age", "Age (years)", "Patient age"), required=False),
    Cell("density", ("density", "Breast density", "Density category", "ACR"), required=False),
    Cell("birads", ("BIRADS", "BIRADS category", "BIRADS score"), required=False),
    Cell("biopsy", ("biopsy_result", "Biopsy", "Biopsy results", "Pathology", "Diagnosis"), required=False),
    Cell("type", ("folder_type", "Type", "Category", "Case type", "Class"), required=False),
)


@dataclass(frozen=True)
class BmcdOptions:
    """What the labels leave open.

    Attributes:
        priors: What the earlier examination of a breast with cancer is: negative as it was read, or ignored (unknown).
        unknown_biopsy: What a suspicious breast without a biopsy result is: ignored (unknown), or negative.
    """

    priors: Literal["negative", "ignored"] = "negative"
    unknown_biopsy: Literal["ignored", "negative"] = "ignored"


def read_rows(raw: Path, options: BmcdOptions) -> pd.DataFrame:
    """See `ExternalSource.rows`."""
    images = find(raw, "Dataset/*_cases/", "*/Dataset/*_cases/", "*_cases/").parent
    cases = read_cases(find(raw, "label.csv", "Description.xlsx", "*/Description.xlsx", "Description.csv"))
    files = [path for path in sorted(images.glob("*_cases/*/*")) if path.suffix.lower() == ".dcm"]
    rows = pd.DataFrame({"path": [path.relative_to(raw).as_posix() for path in files]})
    kinds = {folder: kind for kind, folder in FOLDERS.items()}
    rows["type"] = [kinds.get(path.parts[-3], "") for path in files]
    rows["case"] = [path.parts[-2] for path in files]
    rows = rows.join(pd.Series([path.stem for path in files], dtype=str).str.extract(FILE))
    rows = rows[rows["view"].notna()].merge(cases, on=["type", "case"])
    if rows.empty:
        raise LayoutError(f"no image of a case of the table, such as {images.name}/Normal_cases/1/CC_recent.dcm")
    prior = rows["round"] == "prior"
    rows["patient"] = rows["type"] + "_" + rows["case"]
    rows["image"] = rows["patient"] + "_" + rows["view"] + "_" + np.where(prior, "prior", "recent")
    rows["exam"] = np.where(prior, "_prior", "")
    return _with_labels(rows, prior, options)


def read_cases(path: Path) -> pd.DataFrame:
    """One row per case: `type` (normal or suspicious), `case`, `laterality`, `result`, and what else is known.

    Raises:
        InputError: Where a column is missing, or a value is none of those known.
    """
    if path.suffix.lower() == ".xlsx":
        sheets = read_workbook(path)
        table = pd.concat(
            [_typed(pick_columns(sheet, CELLS, path), name) for name, sheet in sheets.items() if len(sheet)]
        )
    else:
        table = _typed(read_sheet(path, CELLS), "")
    table = table.reset_index(drop=True)
    table["type"] = table["type"].str.lower().str.extract("(normal|suspicious)", expand=False)
    table["laterality"] = table["laterality"].str[:1].str.upper()
    bad = table["type"].isna() | ~table["laterality"].isin(("L", "R"))
    if bad.any():
        row = table[bad].iloc[0]
        raise InputError(f"{path}: case {row['case']!r} is neither normal nor suspicious, or neither Left nor Right")
    biopsy = table["biopsy"] if "biopsy" in table else pd.Series("", index=table.index)
    result = biopsy.str.lower().str.extract(f"({'|'.join(BIOPSIES)})", expand=False).fillna("")
    return table.drop(columns="biopsy", errors="ignore").assign(result=result, case=table["case"].str.lstrip("0"))


def _typed(table: pd.DataFrame, sheet: str) -> pd.DataFrame:
    """A table with `type`, else from the name of its sheet, else from BI-RADS: 3 and more are suspicious."""
    if "type" in table:
        return table
    if "normal" in sheet.lower() or "suspicious" in sheet.lower():
        return table.assign(type=sheet)
    grades = pd.to_numeric(table.get("birads", pd.Series("", index=table.index)).str[:1], errors="coerce")
    return table.assign(type=np.where(grades >= 3, "suspicious", "normal"))


def _with_labels(rows: pd.DataFrame, prior: pd.Series, options: BmcdOptions) -> pd.DataFrame:
    cancer = rows["result"].isin(("malignant", "dcis"))
    unknown = (rows["type"] == "suspicious") & (rows["result"] == "")
    of_prior = {"negative": 0.0, "ignored": np.nan}[options.priors]
    of_unknown = {"negative": 0.0, "ignored": np.nan}[options.unknown_biopsy]
    target = np.where(unknown, of_unknown, np.where(cancer, np.where(prior, of_prior, 1.0), 0.0))
    rows = rows.assign(cancer=target, biopsy=np.where((rows["result"] != "") & ~prior, 1.0, np.nan))
    rows["invasive"] = np.where(prior, np.nan, rows["result"].map({"malignant": 1.0, "dcis": 0.0, "benign": 0.0}))
    if "birads" in rows:
        rows["birads"] = rows["birads"].str[:1].mask(prior, "")  # 4a, 4b, 4c
    if "density" in rows:
        rows["density"] = rows["density"].str.upper()
    return rows


SOURCE = ExternalSource(
    name="bmcd",
    title="BMCD",
    expects="Description.xlsx or label.csv and Dataset/<Normal|Suspicious>_cases/<number>/<CC|MLO>_<recent|prior>.dcm",
    rows=read_rows,
    options=BmcdOptions,
)
