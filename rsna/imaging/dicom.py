"""Reads one DICOM file to its stored values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsna.imaging.container import parse_dicom, read_content
from rsna.imaging.decoders import decode
from rsna.imaging.header import Header
from rsna.imaging.reasons import naming


@dataclass(frozen=True, eq=False)
class DicomImage:
    """A decoded image.

    Attributes:
        pixels: Stored values, (rows, columns) of `header.dtype`, equal to pydicom's `pixel_array`.
        header: What the file says about them.
        decoder: The name of the decoder that read them.
    """

    pixels: np.ndarray
    header: Header
    decoder: str


def read_dicom(path: str | Path) -> DicomImage:
    """Read a single-frame grey-scale DICOM file through the chain of decoders.

    Raises:
        ImageError: Naming the file and why it cannot be used.
    """
    with naming(path):
        return decode_content(read_content(path))


def decode_content(content: bytes) -> DicomImage:
    """The same from a file's bytes; raises `ValueError` with the reason."""
    file = parse_dicom(content)
    pixels, decoder = decode(file)
    return DicomImage(pixels, file.header, decoder)
