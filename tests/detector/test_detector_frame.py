"""Thumbnails, boxes in their pixels, and what YOLOX says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from detecting import yolox_output
from hypothesis import given
from hypothesis import strategies as st

from rsna.errors import InputError
from rsna.imaging import Region, load_thumbnail, read_image, write_png
from rsna.imaging.detector import letterbox, to_pixels, to_region
from rsna.imaging.detector_yolox import decode_yolox

SIDES = st.tuples(st.floats(0, 0.98), st.floats(0.01, 1)).map(lambda pair: (pair[0], min(1.0, pair[0] + pair[1])))
SHAPES = st.tuples(st.integers(20, 416), st.integers(20, 416))


@given(SIDES, SIDES, SHAPES)
def test_a_region_survives_its_pixels(x: tuple[float, float], y: tuple[float, float], shape: tuple[int, int]) -> None:
    region = Region(x[0], y[0], x[1], y[1])
    back = to_region(to_pixels(region, shape), shape)
    assert back is not None
    assert np.allclose([back.xmin, back.ymin, back.xmax, back.ymax], [x[0], y[0], x[1], y[1]], atol=1e-6)


@pytest.mark.parametrize("box", [(300, 10, 350, 90), (10, 10, 10, 90), (50, 10, 40, 90), (np.nan, 0, 10, 10)])
def test_a_box_beside_the_picture_is_none(box: tuple[float, ...]) -> None:
    assert to_region(np.array(box), (416, 300)) is None


def test_the_thumbnail_shows_the_whole_frame(tmp_path: Path) -> None:
    pixels = np.zeros((800, 500), np.uint16)
    pixels[:400, :250] = 3000
    pixels[0:40, 460:] = 60000
    write_png(tmp_path / "a.png", pixels)
    thumbnail = load_thumbnail(tmp_path / "a.png")
    assert thumbnail.shape == (416, 260)
    assert (thumbnail.min(), thumbnail.max()) == (0, 255)
    assert abs(int((thumbnail[50] > 5).sum()) - 130) <= 1
    square = letterbox(thumbnail)
    assert (square[:, :260] == thumbnail).all()
    assert (square[:, 260:] == 114).all()


def test_air_is_dark_in_the_thumbnail_of_every_machine(lab: Path) -> None:
    inverted = 0
    for path in sorted((lab / "data" / "train_images").rglob("*.dcm")):
        inverted += read_image(path).header.inverted
        thumbnail = load_thumbnail(path)
        assert max(thumbnail.shape) == 416
        assert np.median(thumbnail) < thumbnail.mean() < 128, path
    assert inverted


@given(
    st.tuples(st.floats(1, 415), st.floats(1, 415), st.floats(2, 800), st.floats(2, 800)),
    st.floats(0.6, 1),
    st.sampled_from([8, 16, 32]),
)
def test_a_yolox_box_is_found_where_it_was_put(
    box: tuple[float, float, float, float], score: float, stride: int
) -> None:
    boxes, scores = decode_yolox(yolox_output(box, score, stride), "it")
    best = scores.argmax()
    x, y, width, height = box
    assert boxes.shape == (3549, 4)
    assert np.allclose(boxes[best], [x - width / 2, y - height / 2, x + width / 2, y + height / 2], atol=0.05)
    assert scores[best] == pytest.approx(score, rel=1e-5)


def test_the_best_class_counts() -> None:
    output = np.zeros((3549, 7), np.float32)
    output[:, 4:] = 0.5, 0.2, 0.6
    assert np.allclose(decode_yolox(output, "it")[1], 0.3)


@pytest.mark.parametrize(("shape", "value"), [((100, 6), 0), ((3549, 5), 0), ((3549, 6), 300)])
def test_what_is_no_raw_yolox_output_is_refused(shape: tuple[int, int], value: float) -> None:
    with pytest.raises(InputError, match=r"416 pixels|decode_in_inference"):
        decode_yolox(np.full(shape, value, np.float32), "net.onnx")
