"""The dataset: the model's input, and augmentations that depend on nothing but seed, epoch and image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from rsna.config import InputSpec, ViewsSpec
from rsna.data.dataset import ImageDataset, init_worker, item_seed, normalise, to_input
from rsna.errors import ImageError, InputError
from rsna.imaging import write_png

SPEC = InputSpec(height=16, width=8, mean=0.25, std=0.5)


def add_noise(pixels: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, pixels.shape, np.uint8)


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    for number in range(6):
        write_png(tmp_path / f"images/{number}.png", np.full((16, 8), 40 * number, np.uint8))
    return pd.DataFrame(
        {
            "image_id": [str(i) for i in range(6)],
            "path": [f"images/{i}.png" for i in range(6)],
            "target_cancer": np.array([0, 1, 0, 1, 0, np.nan], np.float32),
            "aux_age": np.arange(6, dtype=np.float32),
        }
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_normalise_scales_to_one_then_centres(dtype: type[np.unsignedinteger], channels: int) -> None:
    top = np.iinfo(dtype).max
    pixels = np.linspace(0, top, 128).astype(dtype).reshape(16, 8)
    spec = InputSpec(height=16, width=8, channels=channels, mean=0.3, std=0.2)  # type: ignore[arg-type]
    image = normalise(pixels, spec)
    assert image.shape == (channels, 16, 8)
    assert image.dtype == torch.float32
    expected = (pixels.astype(np.float64) / top - 0.3) / 0.2
    for channel in image.numpy():
        np.testing.assert_allclose(channel, expected, atol=2e-6)


def test_to_input_resizes_only_what_has_another_size() -> None:
    pixels = np.arange(128, dtype=np.uint8).reshape(16, 8)
    assert to_input(pixels, SPEC) is pixels
    halved = to_input(np.repeat(np.repeat(pixels, 2, 0), 2, 1), SPEC)
    np.testing.assert_array_equal(halved, pixels)


def test_an_item(tmp_path: Path, table: pd.DataFrame) -> None:
    dataset = ImageDataset(tmp_path, table, SPEC, ["target_cancer", "aux_age"])
    item = dataset[3]
    assert len(dataset) == 6
    assert item["image"].shape == (1, 1, 16, 8)
    assert item["image"].mean().item() == pytest.approx((120 / 255 - 0.25) / 0.5, abs=1e-6)
    assert item["target"].tolist() == [1, 3]
    assert item["index"] == 3
    assert torch.isnan(dataset[5]["target"][0])


def test_an_augmentation_depends_on_seed_epoch_and_image_only(tmp_path: Path, table: pd.DataFrame) -> None:
    def images(rows: pd.DataFrame, seed: int, epoch: int) -> dict[str, torch.Tensor]:
        dataset = ImageDataset(tmp_path, rows, SPEC, transform=add_noise, seed=seed)
        dataset.set_epoch(epoch)
        return {image: dataset[i]["image"] for i, image in enumerate(rows["image_id"])}

    first, turned = images(table, 1, 2), images(table.iloc[::-1], 1, 2)
    assert all(torch.equal(first[image], turned[image]) for image in first)
    for other in (images(table, 2, 2), images(table, 1, 3)):
        assert not any(torch.equal(first[image], other[image]) for image in first)
    assert not torch.equal(first["0"], first["1"])


def test_a_repeated_row_is_augmented_differently(tmp_path: Path, table: pd.DataFrame) -> None:
    dataset = ImageDataset(tmp_path, pd.concat([table, table]), SPEC, transform=add_noise)
    assert not torch.equal(dataset[0]["image"], dataset[6]["image"])


def test_seeds_do_not_change_between_versions() -> None:
    assert item_seed(0, 0, "1") == 3541848313898448560
    assert len({item_seed(s, e, i, d) for s in (0, 1) for e in (0, 1) for i in ("1", "11") for d in (0, 1)}) == 16


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_living_workers_see_the_epoch_and_yield_what_the_process_itself_yields(
    tmp_path: Path, table: pd.DataFrame, context: str
) -> None:
    dataset = ImageDataset(tmp_path, table, SPEC, ["target_cancer"], add_noise)
    loader = DataLoader(
        dataset,
        batch_size=4,
        num_workers=1,
        persistent_workers=True,
        multiprocessing_context=context,
        worker_init_fn=init_worker,
    )
    for epoch in range(2):
        dataset.set_epoch(epoch)
        images = torch.cat([batch["image"] for batch in loader])
        assert images.shape == (6, 1, 1, 16, 8)
        assert all(torch.equal(images[i], dataset[i]["image"]) for i in range(6))


def test_wrong_input_is_refused(tmp_path: Path, table: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="target_birads"):
        ImageDataset(tmp_path, table, SPEC, ["target_birads"])
    with pytest.raises(InputError, match="does not stay inside"):
        ImageDataset(tmp_path, table.assign(path="../x.png"), SPEC)
    (tmp_path / "images/2.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"2\.png"):
        ImageDataset(tmp_path, table, SPEC)[2]


def with_views(table: pd.DataFrame) -> pd.DataFrame:
    """The table as three breasts of two patients: two views, two views, and two views of the same name."""
    return table.assign(
        group_id=["a", "a", "a", "a", "b", "b"],
        prediction_id=["a_L", "a_L", "a_R", "a_R", "b_L", "b_L"],
        view=["CC", "MLO", "CC", "MLO", "CC", "CC"],
    )


def test_the_views_of_a_sample_are_other_rows_pictures(tmp_path: Path, table: pd.DataFrame) -> None:
    dataset = ImageDataset(tmp_path, with_views(table), SPEC, views=ViewsSpec("patient", "zero"))
    single = [item["image"][0] for item in (ImageDataset(tmp_path, table, SPEC)[row] for row in range(6))]
    item = dataset[1]
    assert item["image"].shape == (4, 1, 16, 8)
    assert item["index"] == 1
    for view, row in zip(item["image"], [1, 0, 3, 2], strict=True):
        assert view.equal(single[row])
    alone = dataset[4]["image"]
    assert alone[0].equal(single[4])
    assert (alone[1:] == 0).all()


def test_repeated_rows_draw_their_partners_anew_and_each_view_is_augmented(tmp_path: Path, table: pd.DataFrame) -> None:
    rows = with_views(table).assign(view=["CC", "MLO", "ML", "LM", "AT", "LMO"], prediction_id="a_L", group_id="a")
    rows = pd.concat([rows, rows.iloc[[0] * 20]], ignore_index=True)
    dataset = ImageDataset(tmp_path, rows, SPEC, views=ViewsSpec("breast"), draw_views=True)
    partners = {float(dataset[row]["image"][1].mean()) for row in range(6, 26)}
    assert len(partners) > 3
    assert float(dataset[0]["image"][0].mean()) not in partners
    noisy = ImageDataset(tmp_path, rows, SPEC, transform=add_noise, views=ViewsSpec("breast"), draw_views=True)
    first = noisy[0]["image"]
    assert not first[0].equal(first[1])
    assert noisy[0]["image"].equal(first)
    noisy.set_epoch(1)
    assert not noisy[0]["image"][0].equal(first[0])


def test_auxiliary_targets_go_with_their_rows(tmp_path: Path, table: pd.DataFrame) -> None:
    auxiliary = np.arange(12, dtype=np.float32).reshape(6, 2)
    dataset = ImageDataset(tmp_path, table, SPEC, auxiliary=auxiliary)
    assert dataset[3]["auxiliary"].tolist() == [6, 7]
    assert ImageDataset(tmp_path, table, SPEC)[3]["auxiliary"].shape == (0,)
