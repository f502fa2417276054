"""The plan of views: its laws, and that gathering pictures follows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsna.config import ViewsSpec
from rsna.data.views import ViewPlanner, plan_views, sample_pictures
from rsna.errors import InputError


def make_table(patients: dict[str, str]) -> pd.DataFrame:
    """A table from texts such as `L:CC L:MLO R:CC` by patient; image ids number the images of a patient."""
    rows = []
    for patient, images in patients.items():
        for number, image in enumerate(images.split()):
            side, view = image.split(":")
            rows.append((f"{patient}-{number}", patient, f"{patient}_{side}", view or None))
    return pd.DataFrame(rows, columns=["image_id", "group_id", "prediction_id", "view"])


WHOLE = make_table({"a": "L:CC L:MLO R:CC R:MLO"})


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Patients with some views missing, some unknown, in any order."""
    images = st.lists(
        st.builds("{}:{}".format, st.sampled_from("LR"), st.sampled_from(["CC", "MLO", ""])), min_size=1, max_size=6
    )
    table = make_table(
        {f"p{i}": " ".join(parts) for i, parts in enumerate(draw(st.lists(images, min_size=1, max_size=4)))}
    )
    return table.iloc[draw(st.permutations(range(len(table))))].reset_index(drop=True)


specs = st.builds(
    ViewsSpec,
    layout=st.sampled_from(["single", "breast", "patient"]),
    missing=st.sampled_from(["duplicate", "zero", "mask"]),
)


def test_two_and_four_views_of_a_whole_patient() -> None:
    two = {sample.anchor: sample.slots for sample in plan_views(WHOLE, ViewsSpec("breast"))}
    assert two == {"a-0": ("a-0", "a-1"), "a-1": ("a-1", "a-0"), "a-2": ("a-2", "a-3"), "a-3": ("a-3", "a-2")}
    four = {sample.anchor: sample.slots for sample in plan_views(WHOLE, ViewsSpec("patient"))}
    assert four["a-1"] == ("a-1", "a-0", "a-3", "a-2")  # the other breast's view like the anchor's comes first


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("duplicate", {"a-0": ("a-0", "a-0", "a-1", "a-1"), "b-0": ("b-0", "b-0", "b-0", "b-0")}),
        ("zero", {"a-0": ("a-0", None, "a-1", None), "b-0": ("b-0", None, None, None)}),
        ("mask", {"a-0": ("a-0", None, "a-1", None), "b-0": ("b-0", None, None, None)}),
    ],
)
def test_missing_views(missing: Any, expected: dict[str, tuple[str | None, ...]]) -> None:
    table = make_table({"a": "L:CC R:MLO", "b": "L:CC"})
    found = {sample.anchor: sample.slots for sample in plan_views(table, ViewsSpec("patient", missing))}
    assert {anchor: found[anchor] for anchor in expected} == expected


@given(tables(), specs, st.one_of(st.none(), st.integers(0, 9)))
def test_a_plan_keeps_to_the_patient_and_begins_with_the_anchor(
    table: pd.DataFrame, spec: ViewsSpec, seed: int | None
) -> None:
    images = table.set_index("image_id")
    samples = plan_views(table, spec, seed)
    assert [sample.anchor for sample in samples] == table["image_id"].tolist()
    for anchor, slots in ((sample.anchor, sample.slots) for sample in samples):
        assert len(slots) == spec.count
        assert slots[0] == anchor
        shown = images.loc[[slot for slot in slots if slot]]
        assert set(shown["group_id"]) == {images.loc[anchor, "group_id"]}
        own = [slot for slot in slots[:2] if slot]
        assert set(images.loc[own, "prediction_id"]) == {images.loc[anchor, "prediction_id"]}
        if spec.missing == "duplicate":
            assert None not in slots
        partner = slots[1] if spec.count > 1 else None
        if partner and partner != anchor and images.loc[anchor, "view"]:
            assert images.loc[partner, "view"] != images.loc[anchor, "view"]


@given(tables(), specs, st.randoms())
def test_the_fixed_plan_does_not_depend_on_the_order_of_rows(table: pd.DataFrame, spec: ViewsSpec, random: Any) -> None:
    order = list(range(len(table)))
    random.shuffle(order)
    shuffled = table.iloc[order].reset_index(drop=True)
    assert set(plan_views(shuffled, spec)) == set(plan_views(table, spec))
    assert set(plan_views(shuffled, spec, 3, 1)) == set(plan_views(table, spec, 3, 1))


def test_training_draws_by_seed_epoch_and_image() -> None:
    table = make_table({"a": "L:CC L:MLO L:ML L:LM R:CC R:MLO R:AT"})
    spec = ViewsSpec("patient")
    assert plan_views(table, spec, 1, 2) == plan_views(table, spec, 1, 2)
    drawn = {plan_views(table, spec, 1, epoch)[0].slots for epoch in range(40)}
    assert len(drawn) > 5
    assert {slots[1] for slots in drawn} == {"a-1", "a-2", "a-3"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (ViewsSpec("breast", shuffle=1.0), ("a-1", "a-0")),
        (ViewsSpec("breast", duplicate=1.0), ("a-0", "a-0")),
        (ViewsSpec("breast", "zero", mask=1.0), ("a-0", None)),
    ],
)
def test_shuffling_duplicating_and_masking_are_of_training(spec: ViewsSpec, expected: tuple[str | None, ...]) -> None:
    assert plan_views(WHOLE, spec, 0)[0].slots == expected
    assert plan_views(WHOLE, spec)[0].slots == ("a-0", "a-1")


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(InputError, match="lacks the column view"):
        plan_views(WHOLE.drop(columns="view"), ViewsSpec("breast"))
    with pytest.raises(InputError, match="before rows are repeated"):
        plan_views(pd.concat([WHOLE, WHOLE]), ViewsSpec("breast"))
    assert plan_views(WHOLE.drop(columns="view"), ViewsSpec())[0].slots == ("a-0",)


@given(tables(), specs, st.sets(st.integers(0, 20)), st.data())
def test_pictures_are_read_once_and_given_as_planned(
    table: pd.DataFrame, spec: ViewsSpec, bad: set[int], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.sampled_from(range(len(table))), unique=True))
    asked: list[int] = []

    def read(needed: list[int]) -> Iterator[np.ndarray | None]:
        asked.extend(needed)
        return (None if row in bad else np.full((1, 1), row) for row in needed)

    found = list(sample_pictures(table, spec, rows, read))
    assert len(found) == len(rows)
    assert len(set(asked)) == len(asked)
    planner = ViewPlanner(table, spec)
    for row, views in zip(rows, found, strict=True):
        if row in bad:
            assert views is None
            continue
        expected = [None if slot is None or slot in bad else slot for slot in planner.plan(row)]
        if spec.missing == "duplicate":
            expected = [row if slot is None else slot for slot in expected]
        shown = views if isinstance(views, list) else [views]
        assert [None if view is None else int(view[0, 0]) for view in shown] == expected


def test_a_spec_with_contradictions_is_refused() -> None:
    with pytest.raises(ValueError, match="mask"):
        replace(ViewsSpec("breast"), mask=0.5)
    with pytest.raises(ValueError, match="probabilities"):
        ViewsSpec(shuffle=2.0)
