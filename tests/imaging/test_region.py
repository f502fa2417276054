"""The region contains the breast, whatever else is in the image, and not much more."""

from __future__ import annotations

import numpy as np
import pytest

from rsna.config import RoiSpec
from rsna.imaging import Box, find_region

HEIGHT, WIDTH = 900, 720
SPEC = RoiSpec(margin=0.0)


def phantom(air: float = 0, noise: float = 0, reach: float = 0.6, tall: float = 0.4) -> tuple[np.ndarray, Box]:
    """A breast at the left edge that fades to its skin, (900, 720) float, and its true box."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    radius = np.sqrt((x / (reach * WIDTH)) ** 2 + ((y - HEIGHT / 2) / (tall * HEIGHT)) ** 2)
    tissue = 12000 * (0.12 + 0.5 * np.clip((1 - radius) / 0.25, 0, 1) ** 0.7) * (1 + 0.1 * np.sin(x / 23 + y / 31))
    image = np.where(radius < 1, tissue, 0) + air + rng.normal(0, 1, y.shape) * noise
    rows, columns = np.flatnonzero((radius < 1).any(axis=1)), np.flatnonzero((radius < 1).any(axis=0))
    return image.clip(0, 65535), Box(int(rows[0]), 0, int(rows[-1]) + 1, int(columns[-1]) + 1)


def check(image: np.ndarray, breast: Box, slack: int, spec: RoiSpec = SPEC, hidden: int = 0) -> None:
    """The region may cut 2 pixels (of 900) and what is `hidden` at the left, and be larger by `slack` on a side."""
    found = find_region(image.astype(np.uint16), spec)
    assert found.top <= breast.top + 2, found
    assert found.left <= breast.left + hidden, found
    assert found.bottom >= breast.bottom - 2, found
    assert found.right >= breast.right - 2, found
    assert found.top >= breast.top - slack, found
    assert found.bottom <= breast.bottom + slack, found
    assert found.right <= breast.right + slack, found


@pytest.mark.parametrize("method", ["threshold", "otsu"])
@pytest.mark.parametrize("noise", [0, 50, 300])
def test_noisy_air(method: str, noise: float) -> None:
    check(*phantom(air=1500, noise=noise), slack=8, spec=RoiSpec(method=method, margin=0.0))


@pytest.mark.parametrize("reach", [0.25, 0.9, 1.2])
def test_sizes(reach: float) -> None:
    image, breast = phantom(reach=reach)
    check(image, breast.clip(image.shape), slack=8)


@pytest.mark.parametrize("thickness", [3, 10, 40])
def test_white_frame(thickness: int) -> None:
    image, breast = phantom()
    framed = np.full_like(image, 65535)
    inner = slice(thickness, -thickness)
    framed[inner, inner] = image[inner, inner]
    check(framed, breast, slack=32, hidden=thickness)


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
@pytest.mark.parametrize("thickness", [2, 12, 60])
def test_bright_border(side: str, thickness: int) -> None:
    image, breast = phantom()
    where = {"left": np.s_[:, :thickness], "right": np.s_[:, -thickness:]}
    where |= {"top": np.s_[:thickness], "bottom": np.s_[-thickness:]}
    image[where[side]] = 40000
    check(image, breast, slack=32, hidden=thickness)


def test_markers_and_tags() -> None:
    image, breast = phantom(air=300, noise=20)
    image[40:110, 560:700] = 65535
    image[820:880, 600:640] = 65535
    image[840:842, :] = 65535
    check(image, breast, slack=8)


def test_implant() -> None:
    image, breast = phantom()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image[((x - 100) / 150) ** 2 + ((y - HEIGHT / 2) / 190) ** 2 < 1] = 60000
    check(image, breast, slack=8)


def test_air_with_a_gradient() -> None:
    image, breast = phantom()
    check(image + np.linspace(0, 300, WIDTH), breast, slack=8)


def test_monochrome1() -> None:
    image, _ = phantom(air=1500, noise=100)
    pixels = image.astype(np.uint16)
    assert find_region(65535 - pixels, SPEC, inverted=True) == find_region(pixels, SPEC)


@pytest.mark.parametrize("kind", ["i2", "i4", "f4"])
def test_any_type(kind: str) -> None:
    image, _ = phantom()
    assert find_region((image - 10000).astype(kind), SPEC) == find_region(image.astype(np.uint16), SPEC)


def test_margin_is_added_and_clipped() -> None:
    image, _ = phantom()
    plain, wide = (find_region(image.astype(np.uint16), RoiSpec(margin=margin)) for margin in (0.0, 0.1))
    assert wide == plain.expand(0.1).clip(image.shape)
    assert wide.left == 0


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((200, 100)),
        np.random.default_rng(0).normal(1000, 50, (200, 100)),  # air alone
        np.pad(np.full((20, 10), 5000.0), ((90, 90), (45, 45))),  # too small to be a breast
        np.full((3, 3), 7.0),
    ],
)
def test_distrusted_regions_keep_the_whole_frame(image: np.ndarray) -> None:
    assert find_region(image.astype(np.uint16), RoiSpec(min_area=0.04)) == Box.whole(image.shape)


def test_no_region_wanted() -> None:
    image, _ = phantom()
    assert find_region(image, RoiSpec(method="none")) == Box.whole(image.shape)
