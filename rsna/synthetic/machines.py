"""The ten machines of the real table, each with a look and file habits of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsna.synthetic.options import Split, stream

ACQUISITION_STREAM = 1


@dataclass(frozen=True)
class Voi:
    """How a file says which values to show.

    Attributes:
        function: VOI LUT Function (0028,1056); empty leaves the element out.
        windows: Number of windows; 0 leaves them out.
    """

    function: str = ""
    windows: int = 1


PLAIN, NO_WINDOW = Voi(), Voi(windows=0)
LINEAR, SEVERAL, EXACT, SIGMOID = Voi("LINEAR"), Voi("LINEAR", 3), Voi("LINEAR_EXACT"), Voi("SIGMOID")


@dataclass(frozen=True)
class Machine:
    """One model of machine. Where several values are given, each study draws one.

    Attributes:
        sizes: (rows, columns, mm per pixel) at scale 1; the larger one is taken for large breasts.
        bits: Bits stored.
        inverted: Whether it writes MONOCHROME1.
        voi: The ways it gives its windows.
        codecs: Names of `rsna.synthetic.dicom.CODECS`, repeated by weight.
        gain, gamma, air: Brightness is air + gain * value ** gamma.
        noise: Deviation in air and, per root of the brightness, in tissue.
        marker, frame: Shares of images with a burned-in marker, with a bright frame or border.
    """

    sizes: tuple[tuple[int, int, float], ...]
    bits: tuple[int, ...]
    inverted: bool
    voi: tuple[Voi, ...]
    codecs: tuple[str, ...]
    gain: float
    gamma: float
    air: float
    noise: tuple[float, float]
    marker: float
    frame: float


SMALL, COMMON, LARGE = (2294, 1914, 0.1), (3328, 2560, 0.07), (4096, 3328, 0.07)
FINE, FINEST = (4740, 3540, 0.05), (5928, 4728, 0.05)
NOISE = (0.001, 0.005)

# sizes, bits, inverted, voi, codecs, gain, gamma, air, noise, marker, frame
MACHINES: dict[int, Machine] = {
    21: Machine((SMALL,), (10, 14), True, (LINEAR, PLAIN), ("sv1", "rle"), 0.82, 0.9, 0.02, (0.001, 0.006), 0.9, 0.03),
    29: Machine((FINEST,), (12,), False, (SIGMOID,), ("jp2", "jp2", "j2k"), 0.74, 1.1, 0.01, (0.0006, 0.004), 0.6, 0.0),
    48: Machine((FINE,), (14,), True, (EXACT, NO_WINDOW), ("jp2", "sv1"), 0.7, 1.0, 0.03, (0.00075, 0.005), 0.8, 0.08),
    49: Machine(
        (COMMON, LARGE), (12,), False, (SEVERAL, LINEAR, PLAIN), ("sv1", "jp2", "raw"), 0.9, 1.15, 0.005,
        (0.0005, 0.0045), 0.95, 0.02,
    ),
    93: Machine((LARGE,), (16,), False, (NO_WINDOW, LINEAR), ("raw", "rle"), 0.78, 1.0, 0.02, NOISE, 0.7, 0.3),
    170: Machine((COMMON,), (12, 13), False, (SIGMOID, LINEAR), ("jp2",), 0.85, 1.05, 0.01, NOISE, 0.9, 0.0),
    190: Machine((SMALL,), (10,), True, (PLAIN,), ("rle",), 0.8, 0.85, 0.04, (0.0015, 0.0075), 0.5, 0.1),
    197: Machine((FINEST,), (16,), True, (EXACT,), ("raw",), 0.7, 1.0, 0.02, NOISE, 0.5, 0.0),
    210: Machine((FINE,), (11, 15), False, (EXACT, SEVERAL), ("j2k", "jp2"), 0.8, 0.95, 0.03, NOISE, 0.4, 0.15),
    216: Machine((SMALL, COMMON), (14,), True, (SIGMOID, PLAIN), ("sv1",), 0.86, 1.0, 0.01, (0.0005, 0.005), 0.8, 0.05),
}  # fmt: skip


@dataclass(frozen=True)
class Study:
    """How one patient was taken: a machine with what a study draws."""

    machine: Machine
    shape: tuple[int, int]
    pitch: float
    bits: int
    voi: Voi
    codec: str
    gain: float
    gamma: float


def draw_study(seed: int, split: Split, index: int, machine_id: int, depth: float, scale: float) -> Study:
    """Draw the study of a patient whose breasts reach `depth` mm from the chest wall."""
    rng = stream(seed, split, index, ACQUISITION_STREAM)
    machine = MACHINES[machine_id]
    rows, columns, pitch = machine.sizes[-1 if depth > rng.normal(105, 5) else 0]
    return Study(
        machine=machine,
        shape=(round(rows * scale), round(columns * scale)),
        pitch=pitch / scale,
        bits=machine.bits[_index(rng, machine.bits)],
        voi=machine.voi[_index(rng, machine.voi)],
        codec=machine.codecs[_index(rng, machine.codecs)],
        gain=machine.gain * rng.normal(1, 0.04),
        gamma=machine.gamma * rng.normal(1, 0.03),
    )


def _index(rng: np.random.Generator, items: tuple[object, ...]) -> int:
    return int(rng.integers(len(items)))
