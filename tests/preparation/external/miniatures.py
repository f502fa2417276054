"""Miniatures of the external sets, in the layouts in which their authors publish them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pydicom
from openpyxl import Workbook
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

ROWS, COLUMNS = 96, 72
VIEW_CODES = {"CC": "cranio-caudal", "MLO": "medio-lateral oblique"}


def breast(top: int, seed: int = 0) -> np.ndarray:
    """A bright half disc on dark air, (ROWS, COLUMNS) float in 0 .. top."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    inside = ((y - ROWS / 2) / (0.4 * ROWS)) ** 2 + (x / (0.7 * COLUMNS)) ** 2 < 1
    noise = np.random.default_rng(seed).random((ROWS, COLUMNS))
    return top * np.where(inside, 0.5 + 0.4 * noise, 0.01 * noise)


def write_dicom(path: Path, seed: int = 0, **tags: Any) -> None:
    """An uncompressed 12-bit mammogram with further header entries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.Rows, file.Columns, file.SamplesPerPixel = ROWS, COLUMNS, 1
    file.PhotometricInterpretation, file.PixelRepresentation = "MONOCHROME2", 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.WindowCenter, file.WindowWidth = 2048, 4096
    file.PixelData = breast(4095, seed).astype("<u2").tobytes()
    for name, value in tags.items():
        setattr(file, name, value)
    pydicom.dcmwrite(path, file, enforce_file_format=True)


def view_code(view: str) -> list[Dataset]:
    """A ViewCodeSequence."""
    code = Dataset()
    code.CodeMeaning = VIEW_CODES[view]
    return [code]


def write_xlsx(path: Path, sheets: dict[str, pd.DataFrame]) -> None:
    """An Excel workbook with the given sheets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    book = Workbook()
    book.remove(book.active)
    for name, table in sheets.items():
        sheet = book.create_sheet(name)
        sheet.append(list(table.columns))
        for row in table.itertuples(index=False):
            sheet.append([None if value == "" else value for value in row])
    book.save(path)


def write_vindr(raw: Path) -> Path:
    """Three studies of four images; BI-RADS 1 and 2, 3 and 4, 5 and 1; one of them lacks a view."""
    grades = {"a" * 32: (1, 2), "b" * 32: (3, 4), "c" * 32: (5, 1)}
    rows, metadata = [], []
    for study, sides in grades.items():
        for side, grade in zip("LR", sides, strict=True):
            for view in ("CC", "MLO"):
                image = f"{study[:28]}{side}{view:>3}".replace(" ", "0").lower()
                rows.append(
                    (study, "s" + study, image, side, view, 3518, 2800, f"BI-RADS {grade}", "DENSITY C", "training")
                )
                metadata.append((image, "s" + study, "053Y", "Mammomat Inspiration"))
                if (study[0], side, view) != ("c", "R", "MLO"):
                    write_dicom(raw / "images" / study / f"{image}.dicom", len(rows))
    names = ["study_id", "series_id", "image_id", "laterality", "view_position", "height", "width"]
    names += ["breast_birads", "breast_density", "split"]
    pd.DataFrame(rows, columns=names).to_csv(raw / "breast-level_annotations.csv", index=False)
    names = ["SOP Instance UID", "Series Instance UID", "Patient's Age", "Manufacturer's Model Name"]
    pd.DataFrame(metadata, columns=names).to_csv(raw / "metadata.csv", index=False)
    (raw / "finding_annotations.csv").write_text("study_id,series_id,image_id\n")
    return raw


def write_miniddsm(raw: Path) -> Path:
    """A normal, a benign and a cancer patient, the latter with contours on the left side; 16-bit PNG of dark films."""
    rows = []
    cases = {"A_0099_1": "Normal", "B_3051_1": "Benign", "C_0001_1": "Cancer"}
    for case, status in cases.items():
        number = case.split("_")[1]
        for side in ("LEFT", "RIGHT"):
            for view in ("CC", "MLO"):
                file = f"{case}.{side}_{view}.png"
                folder = raw / "MINI-DDSM-Complete-PNG-16" / status / number
                folder.mkdir(parents=True, exist_ok=True)
                pixels = breast(3000, len(rows)).astype(np.uint16)
                pixels[:4, -8:] = 65535  # the label of the film
                cv2.imwrite(str(folder / file), pixels)
                mask = f"{status}\\{number}\\{case}.{side}_{view}_Mask.png"
                drawn = (status == "Cancer" and side == "LEFT" and view == "CC") or (
                    status == "Benign" and view == "CC"
                )
                contours = [mask if drawn else "-", *["-"] * 5]
                rows.append(
                    (f"{status}\\{number}\\{file}", file, view, side, status, *contours, 42.0, 3 if drawn else 0)
                )
        (folder / f"{case.replace('_', '-')}.ics").write_text("filename")
    contours = ["Tumour_Contour", *(f"Tumour_Contour{i}" for i in range(2, 7))]
    table = pd.DataFrame(rows, columns=["fullPath", "fileName", "View", "Side", "Status", *contours, "Age", "Density"])
    write_xlsx(raw / "Data-MoreThanTwoMasks/Data-MoreThanTwoMasks.xlsx", {"Data": table})
    return raw


def write_cmmd(raw: Path) -> Path:
    """D1-0001 with one benign breast, D1-0087 with both breasts, D2-0003 with a malignant breast and a free one."""
    images = {
        "D1-0001": [("R", "CC"), ("R", "MLO")],
        "D1-0087": [("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")],
        "D2-0003": [("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")],
    }
    for patient, views in images.items():
        for number, (side, view) in enumerate(views, 1):
            path = raw / "CMMD" / patient / "07-18-2010-NA-NA-79377" / "1.000000-NA-70244" / f"1-{number}.dcm"
            write_dicom(
                path,
                number,
                PatientID=patient,
                ImageLaterality=side,
                ViewCodeSequence=view_code(view),
                PatientAge="044Y",
            )
    rows = [
        ("D1-0001", "R", 44, 2, "calcification", "Benign", ""),
        ("D1-0087", "L", 59, 2, "calcification", "Benign", ""),
        ("D1-0087", "R", 59, 2, "calcification", "Malignant", ""),
        ("D2-0003", "L", 61, 2, "mass", "Malignant", "Luminal A"),
        ("D2-0003", "L", 61, 2, "calcification", "Benign", ""),  # a second lesion of the breast
    ]
    names = ["ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype"]
    write_xlsx(raw / "CMMD_clinicaldata_revision.xlsx", {"Sheet1": pd.DataFrame(rows, columns=names)})
    (raw / "metadata.csv").write_text("Series UID,Collection,Subject ID,File Location\n")
    return raw


def write_cddcesm(raw: Path) -> Path:
    """Two patients; low-energy and subtracted images; two findings of one image, and a stray blank in a name."""
    rows = []
    findings = {("1", "L"): ("Malignant",), ("1", "R"): ("Normal",), ("2", "R"): ("Benign", "Malignant")}
    for (patient, side), labels in findings.items():
        for kind, folder in (("DM", "Low energy images of CDD-CESM"), ("CM", "Subtracted images of CDD-CESM")):
            for view in ("CC", "MLO"):
                name = f"P{patient}_{side}_{kind}_{view}"
                (raw / folder).mkdir(parents=True, exist_ok=True)
                pixels = breast(255, len(rows)).astype(np.uint8)
                Image.fromarray(pixels).convert("RGB").save(raw / folder / f"{name}.jpg", quality=95)
                shown = name + " " if (patient, view) == ("2", "CC") else name
                kind_name = "DM" if kind == "DM" else "CESM"
                for label in labels:
                    birads = "5" if label == "Malignant" else "2"
                    rows.append((shown, int(patient), side, kind_name, view, 51, "C", birads, "mass", "", 1, label))
    names = ["Image_name", "Patient_ID", "Side", "Type", "View", "Age", "Breast density (ACR)", "BIRADS", "Findings"]
    names += ["Tags", "Machine", "Pathology Classification/ Follow up"]
    write_xlsx(raw / "Radiology manual annotations.xlsx", {"all": pd.DataFrame(rows, columns=names)})
    return raw


def write_bmcd(raw: Path) -> Path:
    """Normal 1; suspicious 1 (malignant), 2 (in situ), 3 (benign), 33 (unknown; one of its files is misspelt)."""
    cases = {
        ("normal", 1): ("Right", 66, "a", "1", ""),
        ("suspicious", 1): ("Left", 54, "c", "4b", "MALIGNANT"),
        ("suspicious", 2): ("Left", 68, "b", "4c", "DCIS"),
        ("suspicious", 3): ("Right", 57, "b", "4a", "BENIGN"),
        ("suspicious", 33): ("Right", 69, "c", "4a", "NOT AVAILABLE"),
    }
    for kind, number in cases:
        for name in ("CC_prior.dcm", "MLO_prior.DCM", "CC_recent.dcm", "MLO_recent.dcm"):
            name = name.replace("CC_recent", "CC_recemt") if number == 33 else name
            folder = raw / "Dataset" / f"{kind.capitalize()}_cases" / str(number)
            write_dicom(folder / name, number)
            (folder / f"{Path(name).stem}_GT.jpg").write_bytes(b"\xff\xd8\xff")
    rows = [(number, *values, kind) for (kind, number), values in cases.items()]
    names = ["dir", "laterality", "age", "density", "BIRADS", "biopsy_result", "folder_type"]
    pd.DataFrame(rows, columns=names).to_csv(raw / "label.csv", index=False)
    (raw / "README.txt").write_text("BMCD")
    return raw


WRITERS = {
    "vindr": write_vindr,
    "miniddsm": write_miniddsm,
    "cmmd": write_cmmd,
    "cddcesm": write_cddcesm,
    "bmcd": write_bmcd,
}
