"""Patients as table rows: who they are, which images were taken, what was found. No pixels."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from rsna.synthetic import marginals
from rsna.synthetic.options import BreastOptions, Split, stream

T = TypeVar("T")

MAX_IMAGES = 32  # of one patient; leaves room in the image ids
IMAGE_ID_BITS = 31
PATIENT_ID_BITS = 16  # the real ids lie below 65,536; more patients than that get longer ids
TABLE_STREAM = 0


@dataclass(frozen=True)
class Image:
    """One exposure. A breast with an implant is also taken with the implant displaced towards the chest wall."""

    image_id: str
    view: str
    displaced: bool = False


@dataclass(frozen=True)
class Breast:
    """One breast, the unit that is scored."""

    laterality: str
    cancer: bool
    invasive: bool
    biopsy: bool
    birads: int | None
    images: tuple[Image, ...]

    @property
    def difficult(self) -> bool:
        """Whether it is called a difficult negative: recalled or biopsied, and no cancer."""
        return not self.cancer and (self.birads == 0 or self.biopsy)


@dataclass(frozen=True)
class Patient:
    """One patient with both breasts (left, right). `density` is the true one, also where the table leaves it out."""

    split: Split
    index: int
    patient_id: str
    site: int
    age: int
    age_known: bool
    implant: bool
    density: str
    density_known: bool
    machine: int
    public: bool
    breasts: tuple[Breast, Breast]


def draw_patient(options: BreastOptions, split: Split, index: int) -> Patient:
    """Draw one patient. Depends on the seed, the split and the index only."""
    rng = stream(options.seed, split, index, TABLE_STREAM)
    site = 1 if rng.random() < marginals.SITE_1_SHARE else 2
    age = _draw_age(rng, site)
    implant = bool(rng.random() < marginals.IMPLANT_SHARE[site])
    number = _patient_number(options, split, index)
    return Patient(
        split=split,
        index=index,
        patient_id=_scramble(number, _patient_id_bits(options), options.seed),
        site=site,
        age=age,
        age_known=bool(rng.random() >= marginals.AGE_MISSING_SHARE[site]),
        implant=implant,
        density="ABCD"[_choose(rng, range(4), _band(marginals.DENSITY_BY_AGE, age))],
        density_known=bool(rng.random() >= marginals.DENSITY_MISSING_SHARE[site]),
        machine=_choose(rng, *_shares(marginals.MACHINES[site, implant])),
        public=bool(rng.random() < marginals.PUBLIC_SHARE),
        breasts=_draw_breasts(rng, options, number, site, age, implant),
    )


def cancer_probability(age: int, positive_rate: float) -> float:
    """The probability of cancer in a breast at this age; the mean over the population is `positive_rate`.

    The risk by age shifts the log-odds, so that it stays a probability for every rate.
    """
    return _sigmoid(_intercept(positive_rate) + float(np.log(_band(marginals.AGE_RISK, age))))


def _draw_breasts(
    rng: np.random.Generator, options: BreastOptions, number: int, site: int, age: int, implant: bool
) -> tuple[Breast, Breast]:
    risk = cancer_probability(age, options.positive_rate)
    cancers = [bool(rng.random() < risk) for _ in range(2)]
    birads = _draw_birads(rng, site, cancers)
    ids = (_scramble(number * MAX_IMAGES + k, IMAGE_ID_BITS, options.seed) for k in range(MAX_IMAGES))
    views = _draw_views(rng, site, implant)
    left, right = (
        Breast(
            laterality=laterality,
            cancer=cancers[side],
            invasive=cancers[side] and bool(rng.random() < marginals.INVASIVE_SHARE[site]),
            biopsy=cancers[side] or bool(rng.random() < marginals.BIOPSY_SHARE[site, birads[side] == 0]),
            birads=birads[side],
            images=tuple(Image(next(ids), view, displaced) for view, displaced in views[side]),
        )
        for side, laterality in enumerate("LR")
    )
    return left, right


def _draw_age(rng: np.random.Generator, site: int) -> int:
    bins = marginals.AGE_BINS[site]
    first, last, _ = _choose(rng, bins, [share for *_, share in bins])
    return int(rng.integers(first, last + 1))


def _draw_birads(rng: np.random.Generator, site: int, cancer: Sequence[bool]) -> list[int | None]:
    if any(cancer):
        return [marginals.BIRADS_OF_CANCER[site] if found else None for found in cancer]
    pairs = marginals.BIRADS_PAIRS[site]
    one, other, _ = _choose(rng, pairs, [share for *_, share in pairs])
    return [one, other] if rng.random() < 0.5 else [other, one]


def _draw_views(rng: np.random.Generator, site: int, implant: bool) -> list[list[tuple[str, bool]]]:
    """The views of both breasts: (view, implant displaced), in a drawn order."""
    pairs = marginals.VIEW_PAIRS[site, implant]
    one, other, _ = _choose(rng, pairs, [share for *_, share in pairs])
    sides = []
    for cc, mlo in (one, other) if rng.random() < 0.5 else (other, one):
        views = [(view, implant and k % 2 == 1) for k, view in enumerate(["CC"] * cc + ["MLO"] * mlo)]
        if rng.random() < marginals.ODD_VIEW_SHARE[site]:
            views.append((_choose(rng, *_shares(marginals.ODD_VIEWS)), False))
        sides.append([views[k] for k in rng.permutation(len(views))])
    return sides


def _choose(rng: np.random.Generator, items: Sequence[T], weights: Sequence[float]) -> T:
    bounds = np.cumsum(weights)
    return items[int(np.searchsorted(bounds, rng.random() * bounds[-1], side="right"))]


def _shares(table: dict[T, float] | dict[T, int]) -> tuple[tuple[T, ...], tuple[float, ...]]:
    return tuple(table), tuple(table.values())


def _band(bands: Sequence[tuple[int, T]], age: int) -> T:
    return bands[bisect_right([first for first, _ in bands], age) - 1][1]


def _sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


@lru_cache
def _intercept(positive_rate: float) -> float:
    """The log-odds that, shifted by the risk by age, give `positive_rate` on average (bisection)."""
    shares = []
    for site, site_share in ((1, marginals.SITE_1_SHARE), (2, 1 - marginals.SITE_1_SHARE)):
        for first, last, share in marginals.AGE_BINS[site]:
            risk = np.mean([_band(marginals.AGE_RISK, age) for age in range(first, last + 1)])
            shares.append((float(np.log(risk)), site_share * share))
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = sum(share * _sigmoid(middle + shift) for shift, share in shares) / sum(share for _, share in shares)
        low, high = (middle, high) if mean < positive_rate else (low, middle)
    return low


def _patient_number(options: BreastOptions, split: Split, index: int) -> int:
    """A number of its own for each patient of the competition: visible test, then training, then hidden."""
    return {"test": 0, "train": 1, "hidden": 1 + options.patients}[split] + index


def _patient_id_bits(options: BreastOptions) -> int:
    total = 1 + options.patients + options.hidden_patients
    return max(PATIENT_ID_BITS, total.bit_length())


def _scramble(number: int, bits: int, seed: int) -> str:
    """A permutation of the numbers below 2**bits, so that ids look drawn and never collide."""
    mask = 2**bits - 1
    number = (number + 0x9E3779B9 * (seed + 1)) & mask
    for multiplier in (0x2C1B3C6D, 0x297A2D39, 0x45D9F3B):
        number ^= number >> (bits // 2)
        number = number * multiplier & mask  # odd, hence a permutation
    return str(number ^ number >> (bits // 2))
