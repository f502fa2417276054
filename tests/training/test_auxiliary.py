"""What the auxiliary heads learn, out of a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rsna.config.learning import AuxiliarySpec
from rsna.errors import InputError
from rsna.training.auxiliary import auxiliary_targets, create_tasks, other_units

NAN = np.nan
TABLE = pd.DataFrame(
    {
        "group_id": ["a", "a", "a", "b", "c", "c"],
        "prediction_id": ["a_L", "a_L", "a_R", "b_L", "c_L", "c_R"],
        "target_cancer": np.array([1, 1, 0, 0, 0, 1], np.float32),
        "aux_age": np.array([45, 45, 45, NAN, 90, 90], np.float32),
        "aux_BIRADS": np.array([0, 0, 1, NAN, 2, NAN], np.float32),
        "machine_id": ["49", "49", "170", None, "49", "21"],
        "site": [1.0, 1.0, 2.0, NAN, 2.0, 1.0],
    }
)
POSITIVE = np.array([True, True, False, False, False, True])


def targets(**specs: AuxiliarySpec) -> list[list[float]]:
    """The targets of some heads on the table, one list per head."""
    return auxiliary_targets(create_tasks(specs, TABLE), TABLE, POSITIVE).T.tolist()


def check(found: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_values_are_scaled_and_unknown_ones_follow_their_rule() -> None:
    check(targets(age=AuxiliarySpec(scale=90.0))[0], [0.5, 0.5, 0.5, NAN, 1, 1])
    check(targets(age=AuxiliarySpec(scale=90.0, missing=60.0))[0], [0.5, 0.5, 0.5, 60 / 90, 1, 1])
    # the sixth place's BI-RADS: 3 for every cancer, 1 where unknown, of 5
    birads = AuxiliarySpec(scale=5.0, missing=1.0, positive=3.0)
    check(targets(BIRADS=birads)[0], [0.6, 0.6, 0.2, 0.2, 0.4, 0.6])


def test_classes_are_those_of_the_training_side() -> None:
    found = targets(machine=AuxiliarySpec("ce", "machine_id"), place=AuxiliarySpec("ce", "site"))
    check(found[0], [2, 2, 0, NAN, 2, 1])  # 170, 21, 49
    check(found[1], [0, 0, 1, NAN, 1, 0])
    (task,) = create_tasks({"machine": AuxiliarySpec("ce", "machine_id")}, TABLE)
    assert task.outputs == 3
    unseen = TABLE.assign(machine_id="999")
    assert np.isnan(task.targets(unseen, POSITIVE)).all()


def test_the_other_breast() -> None:
    spec = AuxiliarySpec(column="target_cancer", of="other")
    check(targets(contralateral=spec)[0], [0, 0, 1, NAN, 1, 0])
    values = np.array([1, NAN, NAN, 2, 3, 5.0])
    check(other_units(values, TABLE).tolist(), [NAN, NAN, 1, NAN, 5, 3])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (AuxiliarySpec(column="aux_density"), "lacks the column aux_density"),
        (AuxiliarySpec(column="aux_age"), "values up to 90"),
        (AuxiliarySpec(column="machine_id"), "use loss=ce"),
        (AuxiliarySpec("ce", "one"), "one class"),
        (AuxiliarySpec(column="nothing"), "unknown of every"),
    ],
)
def test_what_a_head_cannot_learn_is_refused(spec: AuxiliarySpec, message: str) -> None:
    table = TABLE.assign(one="same", nothing=NAN)
    if spec.column == "machine_id":
        table["machine_id"] = table["machine_id"].fillna("x-y")
    with pytest.raises(InputError, match=message):
        auxiliary_targets(create_tasks({"head": spec}, table), table, POSITIVE)


def test_without_heads_there_are_no_columns() -> None:
    assert auxiliary_targets([], TABLE, POSITIVE).shape == (6, 0)
