"""Pictures that somebody else made, `{patient_id}/{image_id}.png` with a table: a prepared set without DICOMs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rsna.errors import InputError
from rsna.io import file_name
from rsna.preparation.external.base import image_table, keep_present
from rsna.preparation.external.sheets import Cell, read_sheet
from rsna.preparation.prepare import Source

EXPECTS = "<patient_id>/<image_id>.png"
UNKNOWN = ("", "na", "nan", "none", "null")
CELLS = (
    Cell("patient", ("patient_id",)),
    Cell("image", ("image_id",)),
    Cell("laterality", ("laterality",), ("l", "r", "left", "right")),
    Cell("view", ("view",)),
    Cell("cancer", ("cancer",), required=False),
    Cell("age", ("age",), required=False),
    Cell("density", ("density",), required=False),
    Cell("birads", ("BIRADS",), required=False),
    Cell("site", ("site_id",), required=False),
    Cell("machine", ("machine_id",), required=False),
    *(Cell(name, (name,), required=False) for name in ("biopsy", "invasive", "implant", "difficult_negative_case")),
)


def folder_source(raw: Path, table: Path, source: str = "") -> Source:
    """The pictures below `raw` that a table names.

    Args:
        raw: Holds `{patient_id}/{image_id}.png`.
        table: .csv or .xlsx with `patient_id`, `image_id`, `laterality`, `view`, and of the competition's other columns
            what is known; without `cancer` the pictures have no targets.
        source: Name of an external set, which prefixes the ids; empty for the competition's own images.

    Raises:
        InputError: For a missing column, a bad value, and where not one picture is there.
    """
    if not raw.is_dir():
        raise InputError(f"there is no folder {raw}; --raw names the folder that holds {EXPECTS}")
    if ":" in source:
        raise InputError(f"the name of a source holds no colon, got {source!r}")
    rows = read_sheet(table, CELLS)
    rows["laterality"] = rows["laterality"].str[:1].str.upper()
    rows["cancer"] = _targets(rows, table)
    for name in ("biopsy", "invasive", "implant", "difficult_negative_case"):
        if name in rows:
            rows[name] = rows[name].str.lower().replace({"true": "1", "false": "0"})
    rows["path"] = rows["patient"].map(file_name) + "/" + rows["image"].map(file_name) + ".png"
    rows = keep_present(rows, raw, EXPECTS)
    return Source(raw, image_table(rows, source, str(table)), origin=source)


def _targets(rows: pd.DataFrame, table: Path) -> pd.Series:
    """The targets, soft ones included, NaN where unknown; anything else is refused."""
    if "cancer" not in rows:
        return pd.Series(np.nan, index=rows.index)
    text = rows["cancer"].str.lower().replace({"true": "1", "false": "0"})
    values = pd.to_numeric(text.mask(text.isin(UNKNOWN)), errors="coerce").astype(np.float64)
    bad = ~text.isin(UNKNOWN) & ~values.between(0, 1)
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise InputError(f"{table}, row {row + 2}, column cancer: {rows['cancer'].iloc[row]!r} does not lie in [0, 1]")
    return values
