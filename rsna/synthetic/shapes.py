"""How lesions show in a picture: soft tissue on an outline of its own, spicules, calcifications."""

from __future__ import annotations

import numpy as np

from rsna.synthetic.geometry import Frame, project
from rsna.synthetic.lesions import FORMS, Lesion
from rsna.synthetic.phantom import Anatomy
from rsna.synthetic.texture import soft_step

LESION, SPECK = 0.88, 1.25  # brightness of an opaque lesion, of a calcification
HARMONICS = 5  # of an outline
REACH, SPICULATED_REACH = 1.8, 3.4  # how far a body reaches, in radii
PIXEL_BLUR = 0.4  # what a pixel adds to the deviation of a calcification, in pixels


def add_lesion(image: np.ndarray, shown: np.ndarray, lesion: Lesion, anatomy: Anatomy, view: str, frame: Frame) -> None:
    """Add a lesion to the picture of a view, in place.

    Args:
        image: Brightness (H, W) float32.
        shown: How much of a lesion shows at each place (H, W), [0, 1].
        lesion: What to add.
        anatomy: The breast that it lies in.
        view: Which view.
        frame: The picture's plane.
    """
    row, column = lesion_centre(lesion, anatomy, view, frame)
    _add_body(image, shown, lesion, (row, column), frame.pitch)
    for depth, lateral, vertical, diameter, brightness in _specks(lesion):
        centre = row - project(view, lateral, vertical) / frame.pitch, column + depth / frame.pitch
        _add_speck(image, shown, min(1.0, lesion.contrast * brightness), diameter, centre, frame.pitch)


def lesion_centre(lesion: Lesion, anatomy: Anatomy, view: str, frame: Frame) -> tuple[float, float]:
    """(row, column) of a lesion in the picture of a view, before it is mirrored."""
    share, lateral, vertical = lesion.place
    half_width = 0.85 * anatomy.width * np.sqrt(1 - share**2)
    return frame.pixel(share * anatomy.depth, half_width * project(view, lateral, vertical))


def _add_body(image: np.ndarray, shown: np.ndarray, lesion: Lesion, centre: tuple[float, float], pitch: float) -> None:
    reach = lesion.radius * (SPICULATED_REACH if lesion.kind == "spiculated" else REACH)
    window, dx, dy = _neighbourhood(image.shape, centre, reach, pitch)
    opacity = lesion.contrast * FORMS[lesion.kind].haze * _body(lesion, dx, dy)
    image[window] += opacity * shown[window] * (LESION - image[window])


def _add_speck(
    image: np.ndarray, shown: np.ndarray, opacity: float, diameter: float, centre: tuple[float, float], pitch: float
) -> None:
    """Add one calcification. One that is smaller than a pixel keeps its mass and loses its peak."""
    deviation = np.hypot(diameter / 2, PIXEL_BLUR * pitch)
    window, dx, dy = _neighbourhood(image.shape, centre, 3 * deviation, pitch)
    peak = opacity * (diameter / 2 / deviation) ** 2
    image[window] += peak * np.exp(-(dx**2 + dy**2) / (2 * deviation**2)) * shown[window] * (SPECK - image[window])


def _neighbourhood(
    shape: tuple[int, ...], centre: tuple[float, float], reach: float, pitch: float
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """The pixels within `reach` mm of the centre, and their offsets to the right and upwards in mm, (H, W) each."""
    first, stop = (
        np.clip(np.rint(np.array(centre) + side * (reach / pitch + 1)), 0, shape).astype(int) for side in (-1, 1)
    )
    rows, columns = (np.arange(*bounds) for bounds in zip(first, stop, strict=True))
    dx, dy = np.meshgrid((columns - centre[1]) * pitch, (centre[0] - rows) * pitch)
    return (slice(first[0], stop[0]), slice(first[1], stop[1])), dx, dy


def _body(lesion: Lesion, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The relative density in [0, 1] of the soft tissue at offsets (H, W) in mm from the centre."""
    rng, form = np.random.default_rng(lesion.seed), FORMS[lesion.kind]
    distance, angle = np.hypot(dx, dy) / lesion.radius, np.arctan2(dy, dx)
    outline = np.ones_like(distance)
    for order in range(2, 2 + HARMONICS):
        outline += form.roughness * rng.normal() / order * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    density = np.sqrt(np.clip(1 - (distance / 1.4) ** 2, 0, 1)) * soft_step((outline - distance) * 2 / form.edge)
    if lesion.kind == "node":
        return density * (1 - 0.7 * np.exp(-(((distance - 0.1) / 0.4) ** 2)))  # its hilum is fatty
    if lesion.kind == "spiculated":
        return np.maximum(density, _spicules(rng, distance, angle, lesion.radius))
    return density


def _spicules(rng: np.random.Generator, distance: np.ndarray, angle: np.ndarray, radius: float) -> np.ndarray:
    """Rays out of the body: brightest at the body, gone at their length (in radii); width in mm."""
    rays = np.zeros_like(distance)
    for _ in range(rng.integers(10, 19)):
        direction, length, width = rng.uniform(-np.pi, np.pi), rng.uniform(1.8, 3.2), rng.uniform(0.5, 0.9)
        across = distance * radius * np.sin(angle - direction) / width
        ahead = np.cos(angle - direction) > 0
        rays = np.maximum(rays, 0.8 * np.exp(-(across**2)) * np.clip(1 - distance / length, 0, 1) * ahead)
    return rays


def _specks(lesion: Lesion) -> np.ndarray:
    """The calcifications (N, 5): depth, lateral and vertical offset from the centre and diameter in mm, brightness."""
    rng, form = np.random.default_rng((lesion.seed, 1)), FORMS[lesion.kind]
    count = rng.integers(*form.specks, endpoint=True)
    offsets = rng.normal(0, form.spread, (count, 3))
    return np.column_stack([offsets, rng.uniform(*form.speck_size, count), rng.uniform(0.6, 1.4, count)])
