"""CDD-CESM: contrast-enhanced mammography of 326 Egyptian patients (Khaled et al., Scientific Data 2022), JPG.

Only the low-energy images (`DM`) look like mammograms; the subtracted ones (`CM`) are left out.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from rsna.errors import InputError
from rsna.preparation.external.base import ExternalSource, NoOptions, find
from rsna.preparation.external.sheets import Cell, read_sheet

FOLDER = "Low energy images of CDD-CESM"
TABLES = tuple(
    f"{folder}Radiology{blank}manual{blank}annotations.{kind}"
    for folder in ("", "*/")
    for kind in ("xlsx", "csv")
    for blank in (" ", "-", "_")
)
NAME = r"^P?(?P<patient>\d+)_(?P<laterality>[LR])_(?P<kind>DM|CM)_(?P<view>[A-Z]+)\d*$"
CELLS = (
    Cell("image", ("Image_name",)),
    Cell("age", ("Age",), required=False),
    Cell("density", ("Breast density (ACR)",), required=False),
    Cell("birads", ("BIRADS",), required=False),
    Cell("machine", ("Machine",), required=False),
    Cell("finding", ("Pathology Classification/ Follow up",), ("normal", "benign", "malignant")),
)


def read_rows(raw: Path, options: NoOptions) -> pd.DataFrame:
    """See `ExternalSource.rows`. An image has a row for each of its findings."""
    path = find(raw, *TABLES)
    folder = find(raw, f"{FOLDER}/", f"*/{FOLDER}/").relative_to(raw).as_posix()
    sheet = read_sheet(path, CELLS, sheet="all")
    sheet["image"] = (
        sheet["image"].str.replace(r"\s", "", regex=True).str.removesuffix(".jpg")
    )  # some have stray blanks
    names = sheet["image"].str.extract(NAME)
    if names["patient"].isna().any():
        row = int(names["patient"].isna().to_numpy().argmax())
        raise InputError(f"{path}, row {row + 2}, column Image_name: {sheet['image'][row]!r} is not like P1_L_DM_MLO")
    sheet = sheet.join(names)
    sheet["cancer"] = (sheet["finding"].str.lower() == "malignant").astype(float)
    # one target per breast: a finding that is seen in one of its images is in the breast
    sheet["cancer"] = sheet.groupby(["patient", "laterality"])["cancer"].transform("max")
    rows = sheet[sheet["kind"] == "DM"].drop_duplicates("image").reset_index(drop=True)
    rows["patient"] = "P" + rows["patient"]
    rows["path"] = folder + "/" + rows["image"] + ".jpg"
    if "birads" in rows:
        rows["birads"] = rows["birads"].str.extract(r"([0-6])\D*$", expand=False)  # of several, the last is the highest
    if "density" in rows:
        rows["density"] = rows["density"].str.upper()
    if "machine" in rows:
        rows["machine"] = "cddcesm " + rows["machine"]
    return rows


SOURCE = ExternalSource(
    name="cddcesm",
    title="CDD-CESM",
    expects=f"'Radiology manual annotations.xlsx' and '{FOLDER}/P<number>_<L|R>_DM_<CC|MLO>.jpg'",
    rows=read_rows,
    reader="stretched",
)
