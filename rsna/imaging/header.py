"""What a file says about its pixels: size, bits, photometric interpretation, modality and VOI transformations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_PIXELS = 2**27  # five times the largest mammogram; more is refused before any memory is taken
IMPLICIT, LITTLE_ENDIAN, BIG_ENDIAN = (f"1.2.840.10008.1.2{suffix}" for suffix in ("", ".1", ".2"))
GREY = ("MONOCHROME1", "MONOCHROME2")


@dataclass(frozen=True)
class Window:
    """A VOI window, in units of the modality's output."""

    center: float
    width: float


@dataclass(frozen=True, eq=False)
class Lut:
    """A look-up table (PS3.3 C.11.1 and C.11.2).

    Attributes:
        first: The value that the first entry maps; lower ones map to it too.
        bits: Bits of an entry.
        values: The entries, (N,) uint16.
    """

    first: int
    bits: int
    values: np.ndarray

    @property
    def top(self) -> int:
        """The highest output: what `bits` allow, or more where a writer got them wrong."""
        return max(2**self.bits - 1, int(self.values.max()))


@dataclass(frozen=True, eq=False)
class Header:
    """The header of a single-frame grey-scale image.

    Attributes:
        rows: Height, pixels.
        columns: Width, pixels.
        bits_allocated: Bits of one stored value: 1, 8, 16 or 32.
        bits_stored: How many of them are used.
        signed: Whether stored values are two's complement.
        photometric: MONOCHROME1 (low is white) or MONOCHROME2 (low is black).
        transfer_syntax: The UID that the file claims, else the uncompressed one that it is written in.
        slope: Of the linear modality transformation.
        intercept: Of the linear modality transformation.
        modality_lut: Replaces slope and intercept where present.
        windows: The VOI windows, in the file's order.
        voi_function: LINEAR, LINEAR_EXACT or SIGMOID (PS3.3 C.11.2.1.2 and C.11.2.1.3).
        voi_lut: Goes before the windows where present.
    """

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool = False
    photometric: str = "MONOCHROME2"
    transfer_syntax: str = LITTLE_ENDIAN
    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    windows: tuple[Window, ...] = ()
    voi_function: str = "LINEAR"
    voi_lut: Lut | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    @property
    def inverted(self) -> bool:
        """Whether low values are shown white."""
        return self.photometric == "MONOCHROME1"

    @property
    def dtype(self) -> np.dtype:
        """The type of the stored values, as in pydicom's `pixel_array`."""
        return np.dtype(f"{'i' if self.signed else 'u'}{max(1, self.bits_allocated // 8)}")


def read_header(dataset: Any) -> Header:
    """Read and check the header of a pydicom data set.

    Raises:
        ValueError: For a missing or absurd value, more than one frame, or colour.
    """
    _check_grey_single_frame(dataset)
    header = Header(
        rows=_whole(dataset, "Rows"),
        columns=_whole(dataset, "Columns"),
        bits_allocated=_whole(dataset, "BitsAllocated"),
        bits_stored=_whole(dataset, "BitsStored"),
        signed=_whole(dataset, "PixelRepresentation") == 1,
        photometric=_text(dataset, "PhotometricInterpretation"),
        transfer_syntax=_transfer_syntax(dataset),
        modality_lut=_lut(dataset, "ModalityLUTSequence"),
        windows=_windows(dataset),
        voi_function=_text(dataset, "VOILUTFunction").upper() or "LINEAR",
        voi_lut=_lut(dataset, "VOILUTSequence"),
        **_rescale(dataset),
    )
    _check_sizes(header)
    return header


def _check_grey_single_frame(dataset: Any) -> None:
    frames = _whole(dataset, "NumberOfFrames", default=1)
    if frames > 1:
        raise ValueError(f"a multi-frame image ({frames} frames); only single frames are read")
    samples, photometric = _whole(dataset, "SamplesPerPixel", default=1), _text(dataset, "PhotometricInterpretation")
    if samples != 1 or (photometric and photometric not in GREY):
        raise ValueError(
            f"a colour image ({photometric or 'no photometric interpretation'}, {samples} samples a pixel)"
        )
    if not photometric:
        raise ValueError("no PhotometricInterpretation in the header")


def _check_sizes(header: Header) -> None:
    if header.rows < 1 or header.columns < 1 or header.rows * header.columns > MAX_PIXELS:
        raise ValueError(f"an absurd size in the header: {header.rows}x{header.columns} pixels")
    if header.bits_allocated not in (1, 8, 16, 32) or not 1 <= header.bits_stored <= header.bits_allocated:
        raise ValueError(f"{header.bits_stored} bits stored in {header.bits_allocated} are not supported")


def _get(dataset: Any, keyword: str) -> Any:
    try:
        value = dataset.get(keyword)
    except Exception as error:  # pydicom converts on access, and broken bytes raise nearly anything
        raise ValueError(f"{keyword} cannot be read ({type(error).__name__})") from error
    return None if isinstance(value, str) and not value.strip() else value


def _text(dataset: Any, keyword: str) -> str:
    return str(_get(dataset, keyword) or "").strip()


def _whole(dataset: Any, keyword: str, default: int | None = None) -> int:
    value = _get(dataset, keyword)
    if value is None:
        if default is None:
            raise ValueError(f"no {keyword} in the header")
        return default
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{keyword} is not a whole number: {str(value)[:40]}") from error


def _numbers(dataset: Any, keyword: str) -> list[float]:
    value = _get(dataset, keyword)
    if value is None:
        return []
    try:
        numbers = [float(item) for item in ([value] if isinstance(value, str | float | int) else value)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{keyword} is not a number: {str(value)[:40]}") from error
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{keyword} is not finite")
    return numbers


def _transfer_syntax(dataset: Any) -> str:
    implicit, little_endian = dataset.original_encoding
    written = IMPLICIT if implicit else LITTLE_ENDIAN if little_endian else BIG_ENDIAN
    return _text(getattr(dataset, "file_meta", None) or {}, "TransferSyntaxUID") or written


def _windows(dataset: Any) -> tuple[Window, ...]:
    pairs = zip(_numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth"), strict=False)
    return tuple(Window(center, width) for center, width in pairs)


def _rescale(dataset: Any) -> dict[str, float]:
    """Slope and intercept count only as a pair, as in pydicom."""
    slope, intercept = _numbers(dataset, "RescaleSlope"), _numbers(dataset, "RescaleIntercept")
    return {"slope": slope[0], "intercept": intercept[0]} if slope and intercept else {}


def _lut(dataset: Any, keyword: str) -> Lut | None:
    """The first look-up table of a sequence."""
    sequence = _get(dataset, keyword)
    if not sequence:
        return None
    item = sequence[0]
    descriptor, data = _numbers(item, "LUTDescriptor"), _get(item, "LUTData")
    if len(descriptor) != 3 or data is None:
        return None  # an empty shell of a table, which writers leave behind; pydicom ignores it too
    count, first, bits = (int(number) for number in descriptor)
    values = _entries(data, count or 2**16, "<" if dataset.original_encoding[1] else ">")
    if values.size < (count or 2**16) or not 8 <= bits <= 16:
        raise ValueError(f"{keyword} is shorter than it says, or has {bits} bits an entry")
    signed = _whole(dataset, "PixelRepresentation") == 1
    return Lut(first - 2**16 if signed and first >= 2**15 else first, bits, values)


def _entries(data: Any, count: int, order: str) -> np.ndarray:
    if not isinstance(data, bytes):
        return np.atleast_1d(np.asarray(data)).astype(np.uint16)[:count]
    packed = len(data) < 2 * count  # one byte an entry
    return np.frombuffer(data, "u1" if packed else f"{order}u2", count=min(count, len(data))).astype(np.uint16)
