"""Which pictures make a sample: the plan of views, and the pictures in that order.

The first view is the anchor, the image that is predicted. Partners come from the rows of one table, so the two sides of
a split never meet. Validation and submission take the partner whose image id comes first; training draws.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from rsna.config import ViewsSpec
from rsna.errors import InputError

Item = TypeVar("Item")
Picture = np.ndarray | None
"""A prepared picture (H, W), or None for one that cannot be used."""
Slots = tuple[int | None, ...]
"""Rows of the table, one per view, None for a view that is not there."""


@dataclass(frozen=True)
class Sample:
    """What the model sees for one prediction.

    Attributes:
        anchor: The image that is predicted.
        slots: The image of each view (V,), the anchor's first save where training shuffles; None for a zero picture.
    """

    anchor: str
    slots: tuple[str | None, ...]


class ViewPlanner:
    """Chooses the views of an anchor among the images of its patient.

    Another view of a unit is an image of another `view`; an image whose view is unknown is another one to all.

    Args:
        table: Every image once: `image_id`, `group_id`, `prediction_id` and, for more than single images, `view`.
        spec: What a sample is made of.

    Raises:
        InputError: Where the table does not know the views.
    """

    def __init__(self, table: pd.DataFrame, spec: ViewsSpec) -> None:
        self.spec = spec
        self.image_ids: list[str] = table["image_id"].tolist()
        if spec.layout == "single":
            return
        if "view" not in table:
            raise InputError("model.views: the image table lacks the column view; use model.views.layout=single")
        if table["image_id"].duplicated().any():
            raise InputError("model.views: plan the views before rows are repeated")
        self._views = [view if isinstance(view, str) and view else None for view in table["view"]]
        self._units: list[str] = table["prediction_id"].tolist()
        self._groups: list[str] = table["group_id"].tolist()
        self._rows_of_unit: dict[str, list[int]] = {}
        self._units_of_group: dict[str, list[str]] = {}
        for row in np.argsort(np.array(self.image_ids, dtype=object), kind="stable").tolist():
            unit, group = self._units[row], self._groups[row]
            if unit not in self._rows_of_unit:
                self._units_of_group.setdefault(group, []).append(unit)
            self._rows_of_unit.setdefault(unit, []).append(row)
        for units in self._units_of_group.values():
            units.sort()

    def plan(self, anchor: int, seed: int | None = None) -> Slots:
        """The rows of a sample's views.

        Args:
            anchor: A row of the table.
            seed: Of the draws of training; None for the fixed choice of validation and submission.
        """
        if self.spec.layout == "single":
            return (anchor,)
        random = None if seed is None else np.random.default_rng((seed, 1))  # not the stream of the augmentation
        own = self._pair(anchor, random)
        if self.spec.layout == "breast":
            return self._vary(own, random)
        return self._vary(own, random) + self._vary(self._other_pair(anchor, own, random), random)

    def _pair(self, first: int, random: np.random.Generator | None) -> Slots:
        view = self._views[first]
        partners = [
            row
            for row in self._rows_of_unit[self._units[first]]
            if row != first and (view is None or self._views[row] != view)
        ]
        return first, _choose(partners, random) if partners else self._instead(first)

    def _other_pair(self, anchor: int, own: Slots, random: np.random.Generator | None) -> Slots:
        """Two views of the patient's other unit, the one like the anchor's first; or what stands in for them."""
        units = [unit for unit in self._units_of_group[self._groups[anchor]] if unit != self._units[anchor]]
        if not units:
            return own if self.spec.missing == "duplicate" else (None, None)
        rows = self._rows_of_unit[_choose(units, random)]
        alike = [row for row in rows if self._views[row] == self._views[anchor]]
        return self._pair(_choose(alike or rows, random), random)

    def _instead(self, row: int) -> int | None:
        return row if self.spec.missing == "duplicate" else None

    def _vary(self, pair: Slots, random: np.random.Generator | None) -> Slots:
        """Duplicate, mask and shuffle the views of a unit, as often as the spec says."""
        if random is None:
            return pair
        duplicate, mask, shuffle = random.random(3) < (self.spec.duplicate, self.spec.mask, self.spec.shuffle)
        first, second = pair
        if duplicate:
            second = first
        if mask:
            second = None
        return (second, first) if shuffle else (first, second)


def plan_views(table: pd.DataFrame, spec: ViewsSpec, seed: int | None = None, epoch: int = 0) -> list[Sample]:
    """The samples of a table, one per row in its order, each anchored at the row's image.

    Args:
        table: Every image once; see `ViewPlanner`.
        spec: What a sample is made of.
        seed: Of the run's draws in training; None for the fixed choice of validation and submission.
        epoch: Of the training. A draw depends on seed, epoch and image id alone (`rsna.data.dataset.item_seed`).

    Raises:
        InputError: Where the table does not know the views.
    """
    from rsna.data.dataset import item_seed  # which needs torch

    planner = ViewPlanner(table, spec)
    samples = []
    for row, image in enumerate(planner.image_ids):
        slots = planner.plan(row, None if seed is None else item_seed(seed, epoch, image))
        samples.append(Sample(image, tuple(None if slot is None else planner.image_ids[slot] for slot in slots)))
    return samples


def sample_pictures(
    table: pd.DataFrame, spec: ViewsSpec, rows: Sequence[int], read: Callable[[list[int]], Iterable[Picture]]
) -> Generator[Picture | list[Picture], None, None]:
    """Yield what `rsna.inference.Predictor` takes for the samples of some rows, in their order and without draws.

    A picture is read once, when the first sample needs it, and dropped after the last one: little is held where a
    patient's rows lie together.

    Args:
        table: Every image once; see `ViewPlanner`.
        spec: What a sample is made of.
        rows: Of the samples.
        read: Is given rows, and yields their pictures in that order, None for one that cannot be used.

    Yields:
        The picture of each row for single images. Else V pictures, None for a zero one; or None alone where the
        anchor's own picture cannot be used.

    Raises:
        InputError: Where the table does not know the views.
    """
    if spec.layout == "single":
        yield from read(list(rows))
        return
    planner = ViewPlanner(table, spec)
    plan = [planner.plan(row) for row in rows]
    needed = list(dict.fromkeys(slot for slots in plan for slot in slots if slot is not None))
    last_use = {slot: index for index, slots in enumerate(plan) for slot in slots if slot is not None}
    held: dict[int, Picture] = {}
    arriving = zip(needed, read(needed), strict=True)
    for index, (row, slots) in enumerate(zip(rows, plan, strict=True)):
        while any(slot is not None and slot not in held for slot in slots):
            held.update([next(arriving)])
        yield _fill(held, row, slots, spec)
        for slot in set(slots) - {None}:
            if last_use[slot] == index:  # type: ignore[index]
                del held[slot]  # type: ignore[arg-type]


def _fill(held: dict[int, Picture], anchor: int, slots: Slots, spec: ViewsSpec) -> list[Picture] | None:
    own = held[anchor]
    if own is None:
        return None
    shown = [None if slot is None else held[slot] for slot in slots]
    if spec.missing == "duplicate":
        return [own if picture is None else picture for picture in shown]
    return shown


def _choose(items: Sequence[Item], random: np.random.Generator | None) -> Item:
    return items[0] if random is None else items[int(random.integers(len(items)))]
