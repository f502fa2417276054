"""The chain of decoders: each codec has several, tried in order of speed until one returns what the header promises.

All of them are optional at run time; one that is not installed is a reason like any other. pydicom's plugins stand for
gdcm and pylibjpeg. The speeds behind the order are in `docs/imaging.md`.
"""

from __future__ import annotations

import contextlib
import io
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rsna.imaging.attempts import attempts
from rsna.imaging.container import DicomFile
from rsna.imaging.header import BIG_ENDIAN
from rsna.imaging.lossless import decode_lossless
from rsna.imaging.reasons import one_line
from rsna.imaging.stream import Codec
from rsna.imaging.thinning import thin

Decoder = Callable[[DicomFile], np.ndarray]

DICOMSDL_SECONDS = 60
PLUGIN_SYNTAX = {  # the syntax that makes a plugin accept any stream of the codec
    Codec.RLE: "1.2.840.10008.1.2.5",
    Codec.JPEG: "1.2.840.10008.1.2.4.50",
    Codec.JPEG_12_BIT: "1.2.840.10008.1.2.4.51",
    Codec.JPEG_LOSSLESS: "1.2.840.10008.1.2.4.57",
    Codec.JPEG_LS: "1.2.840.10008.1.2.4.81",
    Codec.JPEG_2000: "1.2.840.10008.1.2.4.91",
}


def decode(file: DicomFile, chain: Sequence[str] | None = None) -> tuple[np.ndarray, str]:
    """Decode the stored values, equal to pydicom's `pixel_array`.

    Args:
        file: What to decode.
        chain: The decoders to try; those of the stream's codec by default.

    Returns:
        The stored values, (rows, columns) of `file.header.dtype`, and the decoder's name.

    Raises:
        ValueError: No decoder could; lists each one's reason.
    """
    reasons = []
    for name in CHAINS[file.stream.codec] if chain is None else chain:
        try:
            with attempts.of(name):
                pixels = DECODERS[name](file)
            if pixels.shape != file.header.shape or pixels.dtype.kind not in "iu":
                raise ValueError(f"returned {pixels.dtype} of shape {pixels.shape}, not {file.header.shape}")
        except Exception as error:  # decoders raise nearly anything on hostile data; the next one may do
            reasons.append(f"{name}: {one_line(error)}")
        else:
            return _as_stored(pixels, file), name
    raise ValueError(f"no decoder could read the {file.stream.codec} data ({'; '.join(reasons)})")


def decode_smaller(file: DicomFile, halvings: int, planes: int = 0) -> tuple[np.ndarray, str, int]:
    """Decode a JPEG 2000 picture at a lower resolution and without its lowest bit planes, or what comes nearest to it.

    Args:
        file: What to decode; other codecs are decoded in full.
        halvings: How often to halve the size, rounded up.
        planes: Bit planes to leave out of the finest details, see `thin`.

    Returns:
        The stored values, the decoder's name, and how often the size was halved: less often, or never, where the stream
        or the decoders do not allow more.

    Raises:
        ValueError: No decoder could.
    """
    if file.stream.codec == Codec.JPEG_2000 and (halvings or planes):
        frame = thin(file.frame, halvings, planes)
        if frame is not None:
            with contextlib.suppress(ValueError):  # the stream as it is has the last word
                return *decode(replace(_smaller(file, halvings), frame=frame, reduce=0), SMALLER_CHAIN), halvings
        for level in range(halvings, 0, -1):  # Pillow refuses a level whose sizes it rounds differently
            with contextlib.suppress(ValueError):
                return *decode(_smaller(file, level), ("pillow",)), level
    return *decode(file), 0


def _smaller(file: DicomFile, halvings: int) -> DicomFile:
    rows, columns = (-(-side >> halvings) for side in file.header.shape)
    return replace(file, header=replace(file.header, rows=rows, columns=columns), reduce=halvings)


def _as_stored(pixels: np.ndarray, file: DicomFile) -> np.ndarray:
    """Give decoded samples the type of the stored values and, where the decoder could not know it, their sign.

    The rules are pydicom's: JPEG 2000 knows its sign and JPEG-LS its precision; elsewhere the bits above BitsStored
    are not part of the value (PS3.5 8.1.1).
    """
    header, stream = file.header, file.stream
    values = pixels.astype(header.dtype, copy=False)
    by_stream = stream.codec in (Codec.JPEG_2000, Codec.JPEG_LS)
    bits = stream.precision if by_stream else header.bits_stored
    if stream.codec == Codec.JPEG_2000:
        needed = stream.signed != header.signed
    else:
        needed = header.signed or stream.precision > bits
    shift = 8 * header.dtype.itemsize - bits
    if not needed or shift == 0 or header.bits_allocated == 1:
        return values
    return (values << shift) >> shift if header.signed else values & (2**bits - 1)


def _imagecodecs(file: DicomFile) -> np.ndarray:
    import imagecodecs

    data = file.frame
    match file.stream.codec:
        case Codec.JPEG_2000:
            return imagecodecs.jpeg2k_decode(data, numthreads=1)
        case Codec.JPEG_LS:
            return imagecodecs.jpegls_decode(data)
        case Codec.RLE:
            kind = f"<u{file.header.dtype.itemsize}"
            return np.frombuffer(imagecodecs.dicomrle_decode(data, kind), kind).reshape(file.header.shape)
        case _:
            return imagecodecs.jpeg_decode(data)


def _pillow(file: DicomFile) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(file.frame), formats=("JPEG", "JPEG2000")) as image:
        if file.reduce:
            setattr(image, "reduce", file.reduce)  # noqa: B010 - in the JPEG 2000 plug-in no method: resolutions to leave
        pixels = np.asarray(image)
    if file.stream.codec == Codec.JPEG_2000:  # Pillow fills 8 or 16 bits from the left, and lifts signed values to 0
        pixels = pixels >> (8 * pixels.dtype.itemsize - file.stream.precision)
        if file.stream.signed:
            pixels = pixels.astype(np.int32) - (1 << (file.stream.precision - 1))
    return pixels


def _plugin(plugin: str) -> Decoder:
    """A decoder by one of pydicom's plugins."""

    def decode_with_plugin(file: DicomFile) -> np.ndarray:
        from pydicom.encaps import encapsulate
        from pydicom.pixels import get_decoder

        header = file.header
        pixels, _ = get_decoder(PLUGIN_SYNTAX[file.stream.codec]).as_array(
            encapsulate([file.frame]),
            index=0,
            decoding_plugin=plugin,
            rows=header.rows,
            columns=header.columns,
            bits_allocated=header.bits_allocated,
            bits_stored=header.bits_stored,
            pixel_representation=int(header.signed),
            photometric_interpretation=header.photometric,
            samples_per_pixel=1,
            number_of_frames=1,
        )
        return pixels

    return decode_with_plugin


def _numpy(file: DicomFile) -> np.ndarray:
    header, count = file.header, file.header.rows * file.header.columns
    if header.bits_allocated == 1:
        packed = np.frombuffer(file.frame, np.uint8, count=math.ceil(count / 8))
        return np.unpackbits(packed, count=count, bitorder="little").reshape(header.shape)
    kind = header.dtype.newbyteorder(">" if header.transfer_syntax == BIG_ENDIAN else "<")
    return np.frombuffer(file.frame, kind, count=count).reshape(header.shape)


def _dicomsdl(file: DicomFile) -> np.ndarray:
    command = [sys.executable, "-P", str(Path(__file__).with_name("dicomsdl_child.py"))]
    done = subprocess.run(command, input=file.content, capture_output=True, timeout=DICOMSDL_SECONDS)
    if done.returncode < 0:
        raise ValueError(f"crashed ({signal.Signals(-done.returncode).name})")
    if done.returncode > 0:
        raise ValueError(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    return np.load(io.BytesIO(done.stdout), allow_pickle=False)


def _own(file: DicomFile) -> np.ndarray:
    return decode_lossless(file.frame)


DECODERS: dict[str, Decoder] = {
    "rsna": _own,
    "imagecodecs": _imagecodecs,
    "pillow": _pillow,
    "gdcm": _plugin("gdcm"),
    "pylibjpeg": _plugin("pylibjpeg"),
    "pydicom": _plugin("pydicom"),
    "numpy": _numpy,
    "dicomsdl": _dicomsdl,
}
CHAINS: dict[Codec, tuple[str, ...]] = {
    Codec.NATIVE: ("numpy",),
    Codec.RLE: ("imagecodecs", "pydicom", "dicomsdl"),  # pylibjpeg's decoder panics on damaged data
    Codec.JPEG: ("pillow", "imagecodecs", "gdcm", "pylibjpeg", "dicomsdl"),
    Codec.JPEG_12_BIT: ("pylibjpeg", "imagecodecs", "dicomsdl"),  # they round differently; pydicom takes pylibjpeg
    Codec.JPEG_LOSSLESS: ("rsna", "imagecodecs", "gdcm", "pylibjpeg", "dicomsdl"),
    Codec.JPEG_LS: ("imagecodecs", "gdcm", "pylibjpeg", "dicomsdl"),
    Codec.JPEG_2000: ("imagecodecs", "pillow", "pylibjpeg", "gdcm", "dicomsdl"),
}
SMALLER_CHAIN = tuple(name for name in CHAINS[Codec.JPEG_2000] if name != "dicomsdl")  # which wants a whole file
