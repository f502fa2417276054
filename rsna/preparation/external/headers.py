"""What only a DICOM header tells: side, view, age. Read in worker processes, since any file may be hostile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rsna.errors import ImageError
from rsna.imaging import DecodePool
from rsna.log import progress

TIME_LIMIT = 30.0  # seconds a header
MEMORY_LIMIT = 2**30
VIEWS = {"cranio-caudal": "CC", "medio-lateral oblique": "MLO", "medio-lateral": "ML", "latero-medial": "LM"}
TAGS = (
    "PatientID",
    "ImageLaterality",
    "Laterality",
    "ViewPosition",
    "ViewCodeSequence",
    "PatientAge",
    "PatientOrientation",
)


def read_header(path: Path) -> dict[str, str]:
    """The patient's id, side (L or R), view and age of a DICOM file, each empty where it does not say.

    Raises:
        ImageError: It is no DICOM file.
    """
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
    except MemoryError:
        raise
    except Exception as error:  # arbitrary bytes make pydicom raise nearly anything
        raise ImageError(path, f"not a DICOM file: {error}") from error
    side = str(header.get("ImageLaterality") or header.get("Laterality") or "")
    age = str(header.get("PatientAge") or "").rstrip("Y").lstrip("0")
    return {
        "patient": str(header.get("PatientID") or "").strip(),
        "laterality": side.strip().upper()[:1],
        "view": _view(header),
        "age": age if age.isdigit() else "",
    }


def _view(header: Any) -> str:
    codes = header.get("ViewCodeSequence")
    meaning = str(codes[0].get("CodeMeaning", "")).strip().lower() if codes else ""
    return VIEWS.get(meaning) or str(header.get("ViewPosition") or "").strip().upper()


def read_headers(files: Sequence[Path], workers: int = -1) -> pd.DataFrame:
    """What `read_header` finds in files, and `error` (empty where there is none), in their order."""
    with DecodePool(read_header, workers, TIME_LIMIT, MEMORY_LIMIT) as pool:
        outcomes = progress(pool.map(files), "read headers", len(files))
        rows = [{"error": outcome.error or "", **(outcome.value or {})} for outcome in outcomes]
    return pd.DataFrame(rows, columns=["patient", "laterality", "view", "age", "error"]).fillna("")
