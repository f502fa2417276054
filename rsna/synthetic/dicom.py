"""Real DICOM files from arrays, in the transfer syntaxes that mammograms come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import imagecodecs
import numpy as np
import rle
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
    generate_uid,
)

from rsna.synthetic.acquisition import SHADES
from rsna.synthetic.machines import Voi

Encoder = Callable[[np.ndarray, int], bytes]


def _jpeg2000(container: str) -> Encoder:
    def encode(pixels: np.ndarray, bits: int) -> bytes:
        return bytes(
            imagecodecs.jpeg2k_encode(
                pixels, level=0, codecformat=container, reversible=True, bitspersample=bits, numthreads=1
            )
        )

    return encode


def _jpeg_lossless(pixels: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg_encode(pixels, lossless=True, predictor=1, bitspersample=bits))


def _rle(pixels: np.ndarray, bits: int) -> bytes:
    rows, columns = pixels.shape
    layout = {"rows": rows, "columns": columns, "samples_per_pixel": 1, "bits_allocated": 16, "number_of_frames": 1}
    return rle.encode_pixel_data(pixels.astype("<u2").tobytes(), byteorder="<", **layout)


CODECS: dict[str, tuple[UID, Encoder | None]] = {
    "jp2": (JPEG2000Lossless, _jpeg2000("jp2")),  # boxed, as the real files are
    "j2k": (JPEG2000Lossless, _jpeg2000("j2k")),  # the bare codestream that the standard asks for
    "sv1": (JPEGLosslessSV1, _jpeg_lossless),
    "rle": (RLELossless, _rle),
    "raw": (ExplicitVRLittleEndian, None),
}


@dataclass(frozen=True)
class Description:
    """What the header says beside the pixels. `uid` makes the file's UIDs: (study, series, image)."""

    uid: tuple[str, str, str]
    patient_id: str
    laterality: str
    view: str
    instance: int
    spacing: float
    bits: int
    inverted: bool
    voi: Voi
    windows: list[tuple[int, int]]
    codec: str
    implant: bool


def encode_dicom(pixels: np.ndarray, about: Description) -> bytes:
    """The bytes of a DICOM file with the stored values (H, W) uint16. Nothing in it depends on the clock."""
    syntax, encode = CODECS[about.codec]
    dataset = _describe(pixels, about)
    if encode is None:
        dataset.PixelData = pixels.astype("<u2").tobytes()
    else:
        dataset.PixelData = encapsulate([encode(pixels, about.bits)])
        dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OW" if encode is None else "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _describe(pixels: np.ndarray, about: Description) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = (
        generate_uid(entropy_srcs=["rsna synthetic", *about.uid[: level + 1]]) for level in range(3)
    )
    dataset.Modality = "MG"
    dataset.BodyPartExamined = "BREAST"
    dataset.PatientID = about.patient_id
    dataset.InstanceNumber = about.instance
    dataset.ImageLaterality, dataset.ViewPosition = about.laterality, about.view
    dataset.BreastImplantPresent = "YES" if about.implant else "NO"
    dataset.ImagerPixelSpacing = [f"{about.spacing:.4g}"] * 2
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if about.inverted else "MONOCHROME2"
    dataset.PresentationLUTShape = "INVERSE" if about.inverted else "IDENTITY"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, about.bits, about.bits - 1
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    _describe_windows(dataset, about)
    return dataset


def _describe_windows(dataset: Dataset, about: Description) -> None:
    if about.windows:
        dataset.WindowCenter = [str(centre) for centre, _ in about.windows]
        dataset.WindowWidth = [str(width) for _, width in about.windows]
    if len(about.windows) > 1:
        dataset.WindowCenterWidthExplanation = list(SHADES[: len(about.windows)])
    if about.voi.function:
        dataset.VOILUTFunction = about.voi.function
