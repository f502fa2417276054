"""What is to be found, and what is to be mistaken for it. All lengths in mm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rsna.synthetic.options import Difficulty

Kind = Literal["mass", "spiculated", "cluster", "cyst", "node", "coarse"]


@dataclass(frozen=True)
class Form:
    """How the lesions of a kind look.

    Attributes:
        radius: Range of the radius of the body, or of the cluster.
        roughness: Of the outline, relative to the radius.
        edge: Width of the outline, relative to the radius.
        haze: Opacity of the soft tissue, relative to the contrast.
        specks: Range of the number of calcifications.
        speck_size: Range of their diameters.
        spread: How far they lie from the centre (one deviation).
    """

    radius: tuple[float, float]
    roughness: float
    edge: float
    haze: float = 1.0
    specks: tuple[int, int] = (0, 0)
    speck_size: tuple[float, float] = (0.4, 1.0)
    spread: float = 4.0


FORMS: dict[Kind, Form] = {
    "mass": Form((6, 13), 0.16, 0.22),
    "spiculated": Form((4.5, 10), 0.12, 0.3),
    "cluster": Form((5, 11), 0.2, 0.6, haze=0.35, specks=(9, 27)),
    "cyst": Form((2.5, 6), 0.03, 0.1),
    "node": Form((3, 6), 0.1, 0.15),
    "coarse": Form((0.8, 1.6), 0.05, 0.1, haze=0.35, specks=(1, 3), speck_size=(0.6, 1.4), spread=8.0),
}
CANCERS: dict[Kind, float] = {"mass": 0.4, "spiculated": 0.4, "cluster": 0.2}
BENIGN: dict[Kind, float] = {"cyst": 0.4, "node": 0.2, "coarse": 0.4}

# The contrast of a cancer lies between these. It is the share of the way from the tissue's brightness to the lesion's:
# below 0.2 it drowns in the texture, above 0.6 nobody overlooks it.
CONTRAST: dict[Difficulty, tuple[float, float]] = {"easy": (0.4, 1.1), "normal": (0.08, 1.05), "hard": (0.0, 0.7)}
CONTRAST_SKEW = 0.65  # below 1: more easy ones than hard ones
BENIGN_CONTRAST = (0.2, 0.9)
BENIGN_RATE = 0.22  # benign findings per breast
DIFFICULT_RATE = 0.7  # in difficult negatives: something made the reader recall them
NODE_DEPTH, NODE_HEIGHT = 0.12, (0.5, 0.9)  # lymph nodes lie near the chest wall, towards the armpit


@dataclass(frozen=True)
class Lesion:
    """One finding in a breast.

    Attributes:
        kind: Cancers are masses, spiculated masses and clusters of fine calcifications; the rest is benign.
        place: (depth as a share of the nipple's, lateral, vertical; the latter two in -1..1 of the half width there).
        radius: Of the body or of the cluster, mm.
        contrast: At its centre.
        seed: Of its shape; the same in every view.
    """

    kind: Kind
    place: tuple[float, float, float]
    radius: float
    contrast: float
    seed: int


def draw_lesions(rng: np.random.Generator, cancer: bool, difficult: bool, difficulty: Difficulty) -> list[Lesion]:
    """Draw the findings of one breast. A cancer comes last, so that the others do not depend on it."""
    found = [_draw_benign(rng) for _ in range(rng.poisson(DIFFICULT_RATE if difficult else BENIGN_RATE))]
    if cancer:
        faint, strong = CONTRAST[difficulty]
        found.append(_draw(rng, _draw_kind(rng, CANCERS), faint + (strong - faint) * rng.random() ** CONTRAST_SKEW))
    return found


def _draw_benign(rng: np.random.Generator) -> Lesion:
    return _draw(rng, _draw_kind(rng, BENIGN), rng.uniform(*BENIGN_CONTRAST))


def _draw(rng: np.random.Generator, kind: Kind, contrast: float) -> Lesion:
    place = _draw_place(rng) if kind != "node" else (NODE_DEPTH, rng.uniform(-0.3, 0.3), rng.uniform(*NODE_HEIGHT))
    return Lesion(kind, place, rng.uniform(*FORMS[kind].radius), contrast, int(rng.integers(2**31)))


def _draw_kind(rng: np.random.Generator, shares: dict[Kind, float]) -> Kind:
    return tuple(shares)[rng.choice(len(shares), p=tuple(shares.values()))]


def _draw_place(rng: np.random.Generator) -> tuple[float, float, float]:
    angle, distance = rng.uniform(0, 2 * np.pi), 0.75 * np.sqrt(rng.random())
    return rng.uniform(0.15, 0.8), distance * np.cos(angle), distance * np.sin(angle)
