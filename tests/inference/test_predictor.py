"""The predictor: planned batches, unusable images, augmentation at test time."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn

from rsna.config import InputSpec
from rsna.data.dataset import normalise, to_input
from rsna.errors import InputError
from rsna.inference import Predictor

SPEC = InputSpec(height=8, width=8)


class Weighted(nn.Module):
    """Logits (B, 2) that depend on where in the image the light is; remembers the shapes of its batches."""

    def __init__(self, seed: int = 0, channels: int = 1) -> None:
        super().__init__()
        self.head = nn.Linear(channels * 8 * 8, 2)
        nn.init.normal_(self.head.weight, generator=torch.Generator().manual_seed(seed))
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(images.shape))
        return self.head(images.flatten(1))


def pictures(count: int, height: int = 8, width: int = 8, dtype: type = np.uint8) -> list[np.ndarray]:
    high = np.iinfo(dtype).max
    return list(np.random.default_rng(0).integers(0, high, (count, height, width), dtype, endpoint=True))


def test_probabilities_are_those_of_each_model_in_order() -> None:
    models = [Weighted(seed) for seed in range(3)]
    images = pictures(7)
    found = Predictor(models, SPEC, batch_size=3).predict(images)
    inputs = torch.stack([normalise(image, SPEC) for image in images])[:, None]
    expected = torch.stack([model(inputs).sigmoid() for model in models], dim=1)  # (N, M, T)
    assert found.shape == (7, 3, 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-6)


def test_every_batch_is_full_also_the_last_one() -> None:
    model = Weighted()
    Predictor([model], SPEC, batch_size=4).predict(pictures(9))
    assert model.shapes == [(4, 1, 1, 8, 8)] * 3


def test_an_unusable_picture_becomes_nan_and_its_neighbours_keep_every_bit() -> None:
    images = pictures(6)
    predictor = Predictor([Weighted()], SPEC, batch_size=4)
    whole = predictor.predict(images)
    holed = predictor.predict([None if index in (1, 5) else image for index, image in enumerate(images)])
    assert np.isnan(holed[[1, 5]]).all()
    np.testing.assert_array_equal(holed[[0, 2, 3, 4]], whole[[0, 2, 3, 4]])


def test_a_batch_without_any_usable_picture_is_all_nan() -> None:
    assert np.isnan(Predictor([Weighted()], SPEC, batch_size=2).predict([None] * 3)).all()


def test_no_pictures_no_rows() -> None:
    assert Predictor([Weighted()], SPEC).predict([]).shape[:2] == (0, 1)


def test_the_stream_is_pulled_one_batch_ahead() -> None:
    pulled = []

    def source():
        for index, image in enumerate(pictures(6)):
            pulled.append(index)
            yield image

    stream = Predictor([Weighted()], SPEC, batch_size=2).stream(source())
    assert next(stream).shape == (2, 1, 2)
    assert pulled == [0, 1, 2, 3]  # while the models work on the first batch, the second is waited for
    assert not torch.is_inference_mode_enabled()  # it must not leak to whoever consumes the stream
    assert len(list(stream)) == 2


def test_the_next_batch_is_decoded_while_the_models_work() -> None:
    decoded = threading.Event()

    class Waiting(Weighted):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert decoded.wait(30), "nothing comes while the models work"
            return super().forward(images)

    def source():
        for index, image in enumerate(pictures(4)):
            if index == 3:
                decoded.set()  # of the second batch
            yield image

    assert len(list(Predictor([Waiting()], SPEC, batch_size=2).stream(source()))) == 2


@pytest.mark.parametrize(("name", "axis"), [("hflip", 1), ("vflip", 0)])
def test_augmentation_averages_the_probabilities_of_the_flipped_picture(name: str, axis: int) -> None:
    model, images = Weighted(), pictures(3)
    plain = Predictor([model], SPEC).predict(images)
    flipped = Predictor([model], SPEC).predict([np.flip(image, axis) for image in images])
    both = Predictor([model], SPEC, tta=("none", name)).predict(images)
    np.testing.assert_allclose(both, (plain + flipped) / 2, atol=1e-6)
    assert np.abs(plain - flipped).max() > 0.01  # or the test would show nothing


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_picture_of_another_size_goes_through_the_same_two_steps_as_in_training(dtype: type) -> None:
    spec = InputSpec(height=8, width=8, channels=3)
    model, (image,) = Weighted(channels=3), pictures(1, 21, 13, dtype)
    expected = model(normalise(to_input(image, spec), spec)[None, None]).sigmoid().detach().numpy()
    found = Predictor([model], spec, batch_size=1).predict([image])
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_models_are_put_in_evaluation_mode() -> None:
    model = nn.Sequential(Weighted(), nn.Dropout(0.9)).train()
    predictor = Predictor([model], SPEC)
    images = pictures(4)
    np.testing.assert_array_equal(predictor.predict(images), predictor.predict(images))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tta": ("none", "rot90")}, "rot90"),
        ({"tta": ()}, "one or more of none, hflip, vflip"),
        ({"batch_size": 0}, "at least 1, got 0"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_wrong_options_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Predictor([Weighted()], SPEC, **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_an_error() -> None:
    with pytest.raises(InputError, match="no CUDA here"):
        Predictor([Weighted()], SPEC, device="cuda")


def test_mixed_precision_is_close_and_still_float32() -> None:
    images = pictures(4)
    exact = Predictor([Weighted()], SPEC, device="cpu").predict(images)
    mixed = Predictor([Weighted()], SPEC, device="cpu", amp=True).predict(images)
    assert mixed.dtype == np.float32
    assert 0 < np.abs(exact - mixed).max() < 0.05
