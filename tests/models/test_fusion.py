"""Views become one vector: layouts, absent views, and what the order of views may change."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from rsna.config import InputSpec, ModelSpec, ViewsSpec
from rsna.models import create_model
from rsna.models.fusion import ViewFusion

INPUT = InputSpec(height=64, width=32)
FUSIONS = ["concat", "mean", "max", "attention"]


def draw(views: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (B=3, V, F=8) and images (3, V, 1, 4, 4) of as many views, all present."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, views, 8, generator=generator), torch.rand(3, views, 1, 4, 4, generator=generator) + 0.1


@pytest.mark.parametrize("layout", ["single", "breast", "patient"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_layout_and_fusion_gives_logits(layout: Any, fusion: Any) -> None:
    views = ViewsSpec(layout, "mask", fusion)
    with torch.device("meta"):
        spec = ModelSpec("test_resnet", pretrained=False, pool="gem_channel", neck="bn_prelu", views=views)
        model = create_model(spec, INPUT, outputs=2)
        assert model(torch.zeros(3, views.count, 1, 64, 32)).shape == (3, 2)


@pytest.mark.parametrize(("fusion", "vectors"), [("concat", 4), ("mean", 2), ("max", 2), ("attention", 2)])
def test_the_two_units_of_a_patient_stay_apart(fusion: Any, vectors: int) -> None:
    features, images = draw(4)
    module = ViewFusion(ViewsSpec("patient", fusion=fusion), 8).eval()
    joined = module(features, images)
    assert joined.shape == (3, vectors * 8) == (3, module.outputs)
    other = module(features[:, [2, 3, 0, 1]], images)
    assert_close(other, torch.cat([joined[:, joined.shape[1] // 2 :], joined[:, : joined.shape[1] // 2]], 1))


@pytest.mark.parametrize("fusion", ["mean", "max", "attention"])
def test_the_order_within_a_unit_changes_nothing(fusion: Any) -> None:
    features, images = draw(2)
    module = ViewFusion(ViewsSpec("breast", fusion=fusion), 8).eval()
    assert_close(module(features.flip(1), images), module(features, images))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_absent_view_does_not_count_where_it_is_masked(fusion: Any) -> None:
    features, images = draw(2)
    images[1, 1] = 0
    module = ViewFusion(ViewsSpec("breast", "mask", fusion), 8).eval()
    joined, changed = module(features, images), features.clone()
    changed[1, 1] += 5
    assert_close(module(changed, images), joined, rtol=0, atol=0)
    alone = features[1, 0] if fusion != "concat" else torch.cat([features[1, 0], torch.zeros(8)])
    assert_close(joined[1], alone)
    counted = ViewFusion(ViewsSpec("breast", "zero", fusion), 8).eval()
    assert not torch.equal(counted(changed, images), counted(features, images))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_unit_without_any_view_is_zero(fusion: Any) -> None:
    features, images = draw(4)
    images[:, 2:] = 0
    joined = ViewFusion(ViewsSpec("patient", "mask", fusion), 8)(features, images)
    assert torch.isfinite(joined).all()
    assert (joined[:, joined.shape[1] // 2 :] == 0).all()


def test_one_view_passes_through_untouched() -> None:
    features, images = draw(1)
    assert ViewFusion(ViewsSpec(), 8)(features, images).equal(features[:, 0])


def test_both_views_reach_the_same_backbone() -> None:
    views = ViewsSpec("breast", fusion="mean")
    model = create_model(ModelSpec("test_resnet", pretrained=False, views=views), INPUT, 1).eval()
    image = torch.randn(2, 1, 1, 64, 32)
    single = create_model(ModelSpec("test_resnet", pretrained=False), INPUT, 1).eval()
    single.load_state_dict(model.state_dict())
    assert_close(model(image.expand(-1, 2, -1, -1, -1)), single(image))
