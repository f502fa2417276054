"""From brightness to stored values: the machine's tone, noise, markers and frames, and the windows that undo them."""

from __future__ import annotations

import cv2
import numpy as np

from rsna.synthetic.machines import Study
from rsna.synthetic.texture import white

SHADES = ("NORMAL", "HARDER", "SOFTER")
WINDOW_FACTORS = (1.0, 0.8, 1.25)
PLATE_SHARE = 0.3  # markers that lie on a plate of lead


def expose(rng: np.random.Generator, image: np.ndarray, study: Study) -> np.ndarray:
    """Give brightness (H, W) the machine's tone and noise; float32 in [0, 1]. Air is noisy too."""
    machine = study.machine
    tone = machine.air + study.gain * np.clip(image, 0, None) ** np.float32(study.gamma)
    in_air, in_tissue = machine.noise
    tone += white(rng, image.shape) * np.sqrt(in_air**2 + in_tissue**2 * tone)
    return np.clip(tone, 0, 1, out=tone)


def burn_in(rng: np.random.Generator, tone: np.ndarray, study: Study, text: str, mirrored: bool) -> None:
    """Draw the side marker into the air, and a frame or a bright border, in place.

    Args:
        mirrored: Whether the chest wall is at the right border; the marker lies at the other one.
    """
    if rng.random() < study.machine.marker:
        _draw_marker(rng, tone, text, mirrored)
    if rng.random() < study.machine.frame:
        _draw_border(rng, tone)


def _draw_marker(rng: np.random.Generator, tone: np.ndarray, text: str, mirrored: bool) -> None:
    height, width = tone.shape
    font, size = cv2.FONT_HERSHEY_SIMPLEX, height / 900
    line = max(1, round(2 * size))
    (wide, high), _ = cv2.getTextSize(text, font, size, line)
    top = int(height * (rng.uniform(0.02, 0.06) if rng.random() < 0.8 else rng.uniform(0.88, 0.92)))
    left = int(width * rng.uniform(0.015, 0.04))
    if not mirrored:
        left = width - left - wide
    drawn = np.zeros((height, width), np.uint8)  # OpenCV writes text on 8 bits only
    if rng.random() < PLATE_SHARE:
        cv2.rectangle(drawn, (left - high // 2, top - high // 2), (left + wide + high // 2, top + 2 * high), 140, -1)
    cv2.putText(drawn, text, (left, top + high), font, size, 250, line, cv2.LINE_AA)
    np.maximum(tone, drawn / np.float32(255), out=tone)


def _draw_border(rng: np.random.Generator, tone: np.ndarray) -> None:
    height, width = tone.shape
    thick = max(1, round(height * rng.uniform(0.002, 0.012)))
    kind = rng.integers(3)
    if kind == 0:
        inset = round(height * rng.uniform(0, 0.02))
        cv2.rectangle(tone, (inset, inset), (width - 1 - inset, height - 1 - inset), 0.9, thick)
    elif kind == 1:
        tone[-thick:] = 0.95
    else:
        tone[:, -thick:] = 0.95


def quantise(tone: np.ndarray, study: Study) -> np.ndarray:
    """Stored values (H, W) uint16 of the study's bits; inverted for MONOCHROME1."""
    highest = 2**study.bits - 1
    stored = np.rint(tone * np.float32(highest)).astype(np.uint16)
    return highest - stored if study.machine.inverted else stored


def windows(rng: np.random.Generator, study: Study) -> list[tuple[int, int]]:
    """(centre, width) in stored values of each window that the study's files give; the first one is the usual one."""
    highest = 2**study.bits - 1
    low = study.machine.air + rng.normal(0.02, 0.01)
    high = study.machine.air + study.gain * rng.normal(0.9, 0.03)
    centre, width = (low + high) / 2, high - low
    if study.voi.function == "SIGMOID":
        width *= 0.8
    if study.machine.inverted:
        centre = 1 - centre
    return [
        (round(centre * highest), round(width * factor * highest)) for factor in WINDOW_FACTORS[: study.voi.windows]
    ]
