"""The anatomy of a breast and its picture in a view: outline, skin, fat, fibroglandular tissue, muscle, implant."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rsna.synthetic.geometry import Frame, project
from rsna.synthetic.texture import enlarge, grain, power_law, soft_step, strands

COARSEST_PITCH = 0.25  # mm; structures are drawn no finer than this, and interpolated to larger images
GLANDULAR_SHARE = {"A": 0.12, "B": 0.28, "C": 0.5, "D": 0.75}
FAT, GLAND, MUSCLE, SKIN, IMPLANT = 0.26, 0.27, 0.3, 0.14, 0.9  # brightness; gland, muscle and skin add to the fat
GRAIN = 0.015  # what the texture has below the coarsest pitch
NIPPLE = 0.045  # its length relative to the breast's depth
BELLY = 0.09  # what is seen of the belly below the breast, relative to its depth
FOLD = 0.12  # where the tissue is thinner than this share of the breast's depth, it is no longer the breast
STRAND_SMOOTHING = 1.0  # mm
BLOBS = 14


@dataclass(frozen=True)
class Anatomy:
    """One breast, lengths in mm.

    Attributes:
        depth: From the chest wall to the nipple.
        width: Half width at the chest wall.
        muscle: (width at the top border, length along the chest wall) of the pectoral muscle in an oblique view.
        gland: Share of the area that is fibroglandular.
        blobs: (N, 6) lobes of that tissue: depth, lateral, vertical, two radii, weight.
        implant: Whether there is one.
    """

    depth: float
    width: float
    muscle: tuple[float, float]
    gland: float
    blobs: np.ndarray
    implant: bool


def draw_anatomy(rng: np.random.Generator, density: str, implant: bool) -> tuple[Anatomy, Anatomy]:
    """Draw both breasts of a patient (left, right): one form, mirrored, with small differences."""
    depth = float(np.clip(rng.normal(92, 17), 58, 140))
    blobs = np.column_stack([
        depth * rng.uniform(0.15, 0.9, BLOBS),
        depth * rng.normal(0, 0.3, (BLOBS, 2)),
        depth * rng.uniform(0.1, 0.32, (BLOBS, 2)),
        rng.uniform(0.4, 1, BLOBS),
    ])  # fmt: skip
    form = Anatomy(
        depth=depth,
        width=depth * rng.uniform(0.85, 1.15),
        muscle=(rng.uniform(25, 60), rng.uniform(70, 140)),
        gland=float(np.clip(GLANDULAR_SHARE[density] + rng.normal(0, 0.05), 0.04, 0.9)),
        blobs=blobs,
        implant=implant,
    )
    left, right = (_vary(rng, form) for _ in range(2))
    return left, right


def _vary(rng: np.random.Generator, form: Anatomy) -> Anatomy:
    blobs = form.blobs * rng.normal(1, [0.06, 0.15, 0.15, 0.1, 0.1, 0.12], form.blobs.shape)
    return replace(form, depth=form.depth * rng.normal(1, 0.02), width=form.width * rng.normal(1, 0.03), blobs=blobs)


def draw_view(
    anatomy: Anatomy, view: str, displaced: bool, frame: Frame, texture: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the tissue of one exposure without its lesions.

    Returns:
        Brightness (H, W) float32, about 0 in air, 0.25 in fat, 0.55 in gland; and how much of a lesion would show
        (H, W) float32 in [0, 1]: less where the breast is thin, nothing behind an implant.
    """
    coarse = frame.at_pitch(max(frame.pitch, COARSEST_PITCH))
    skin = _skin_distance(anatomy, view, coarse)
    covered = np.clip(skin / coarse.pitch + 0.5, 0, 1)  # share of the pixel that is not air
    thickness = 1 - np.exp(-np.clip(skin, 0, None) / 7)
    image = thickness * _tissue(anatomy, view, coarse, texture, covered)
    image += covered * SKIN * np.exp(-(((skin - 1.2) / 1.0) ** 2))
    if view not in ("CC", "ML", "LM"):
        image += MUSCLE * _muscle(anatomy, coarse) * thickness
    if anatomy.implant:
        hidden = _implant(anatomy, coarse, displaced)
        image += hidden * (IMPLANT - image)
        thickness *= 1 - hidden
    image, thickness = enlarge(image, frame.shape), enlarge(thickness, frame.shape)
    if coarse.pitch > frame.pitch:
        image += GRAIN * thickness * grain(texture, frame.shape)
    return image, thickness


def breast_box(anatomy: Anatomy, view: str, frame: Frame) -> tuple[int, int, int, int]:
    """The box (top, left, bottom, right) of the breast in a picture, before it is mirrored.

    It reaches from the border at the chest wall to the nipple. The strip of chest and belly that runs on beyond the
    folds above and below the breast is not a part of it; the axilla is.
    """
    edge = _edge(anatomy, view, frame)
    rows = np.flatnonzero(edge > FOLD)
    deepest = anatomy.depth * float((edge + _nipple(frame))[rows].max())
    return int(rows[0]), 0, int(rows[-1]) + 1, max(1, int((frame.depths < deepest).sum()))


def _skin_distance(anatomy: Anatomy, view: str, frame: Frame) -> np.ndarray:
    """Distance to the skin in mm (H, W), negative in air; exact near the skin only, which is where it matters."""
    edge = _edge(anatomy, view, frame)
    slope = anatomy.depth * np.gradient(edge, frame.pitch)
    edge = anatomy.depth * (edge + _nipple(frame))
    return (edge[:, None] - frame.depths[None, :]) / np.sqrt(1 + slope**2)[:, None]


def _edge(anatomy: Anatomy, view: str, frame: Frame) -> np.ndarray:
    """The depth of the skin in each row (H,), relative to the breast's; without the nipple."""
    height = frame.heights / anatomy.width
    if view == "CC":
        return np.clip(1 - np.abs(height) ** 2.3, 0, None) ** 0.55
    above = np.clip(1 - np.clip(height / 1.75, 0, None) ** 1.7, 0, None) ** 0.8
    below = np.clip(1 - np.clip(-height / 0.8, 0, None) ** 2.4, 0, None) ** 0.6
    axilla, belly = 0.34 * soft_step(8 * (height - 0.5)), BELLY * soft_step(-8 * (height + 0.5))
    edge = (above * below) ** 4 + (axilla + belly) ** 4  # a smooth maximum
    return edge**0.25


def _nipple(frame: Frame) -> np.ndarray:
    """What the nipple adds to the depth of each row (H,), relative to the breast's."""
    return NIPPLE * np.exp(-((frame.heights / 5) ** 4))


def _tissue(anatomy: Anatomy, view: str, frame: Frame, rng: np.random.Generator, covered: np.ndarray) -> np.ndarray:
    """Fat with fibroglandular tissue in it, (H, W): the lobes decide where, the texture decides the rest."""
    depth, lateral, vertical, radius_1, radius_2, weight = anatomy.blobs.T
    height = project(view, lateral, vertical)
    across = np.exp(-(((frame.heights[:, None] - height) / radius_1) ** 2))  # (H, blobs)
    along = np.exp(-(((frame.depths[:, None] - depth) / radius_2) ** 2))  # (W, blobs)
    # einsum and not a matrix product: the latter's rounding depends on the number of threads
    lobes = np.einsum("hb,wb->hw", across * weight, along).astype(np.float32)
    broad, fine = (power_law(rng, frame.shape, beta, frame.origin) for beta in (3.2, 2.2))
    amount = lobes + 0.7 * broad
    threshold = np.quantile(amount[::4, ::4][covered[::4, ::4] > 0], 1 - anatomy.gland)
    gland = soft_step(3 * (amount - threshold))
    detail = 0.04 * fine + 0.05 * strands(broad + 0.4 * fine, STRAND_SMOOTHING / frame.pitch)
    return FAT + GLAND * gland * (0.75 + 0.12 * broad + 0.12 * fine) + detail * (0.5 + 0.5 * gland)


def _muscle(anatomy: Anatomy, frame: Frame) -> np.ndarray:
    top = frame.heights[0]
    wide, long = anatomy.muscle
    down = np.clip((top - frame.heights) / long, 0, 1)  # 0 at the upper border, 1 at the lower end
    edge = wide * (1 - down**1.2)
    return soft_step((edge[:, None] - frame.depths[None, :]) / 1.5) * (down < 1)[:, None]


def _implant(anatomy: Anatomy, frame: Frame, displaced: bool) -> np.ndarray:
    """Where an implant covers the tissue, (H, W) in [0, 1]."""
    centre, radius = (-0.25, 0.42) if displaced else (0.12, 0.62)
    along = (frame.depths[None, :] / anatomy.depth - centre) / radius
    across = frame.heights[:, None] / (0.7 * anatomy.width)
    return soft_step((1 - np.hypot(along, across)) / 0.012)
