"""The strict loader: what it takes, what it refuses, and how it says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsna.config import DataSpec, PrepareConfig, differences, dump, load, spec_hash
from rsna.config.compose import compose
from rsna.errors import InputError


@dataclass(frozen=True)
class Inner:
    size: tuple[int, int] = (1, 2)
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    rate: float
    mode: Literal["a", "b"] = "a"
    limit: int | None = None
    fold: int | str = 0
    inner: Inner = field(default_factory=Inner)
    extra: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError("rate must not be negative")


ACCEPTED: list[tuple[dict[str, Any], Outer]] = [
    ({"rate": 1}, Outer(1.0)),
    ({"rate": 0.5, "mode": "b", "limit": None, "fold": "all"}, Outer(0.5, "b", None, "all")),
    ({"rate": 0, "inner": {"size": [3, 4], "names": ["x"]}}, Outer(0.0, inner=Inner((3, 4), ("x",)))),
    ({"rate": 0, "extra": {"k": 2}}, Outer(0.0, extra={"k": 2.0})),
]

REFUSED: list[tuple[Any, str]] = [
    ({"rate": 1, "typo": 2}, "unknown key(s) typo; valid keys: rate, mode, limit, fold, inner, extra"),
    ({}, "missing key(s) rate"),
    ({"rate": "1"}, "config.rate: expected a number, got '1'"),
    ({"rate": True}, "config.rate: expected a number"),
    ({"rate": float("nan")}, "NaN"),
    ({"rate": 1, "mode": "c"}, "'c' is not one of a, b"),
    ({"rate": 1, "limit": 1.5}, "config.limit: expected a whole number"),
    ({"rate": 1, "fold": [1]}, "none of a whole number, text"),
    ({"rate": 1, "inner": {"size": [1]}}, "config.inner.size: expected 2 values, got 1"),
    ({"rate": 1, "inner": {"size": [1, "2"]}}, "config.inner.size[1]: expected a whole number"),
    ({"rate": 1, "inner": 3}, "config.inner: expected a mapping"),
    ({"rate": -1}, "rate must not be negative"),
    ([1], "expected a mapping"),
]


@pytest.mark.parametrize(("mapping", "expected"), ACCEPTED)
def test_load_accepts(mapping: dict[str, Any], expected: Outer) -> None:
    assert load(Outer, mapping) == expected


@pytest.mark.parametrize(("mapping", "message"), REFUSED)
def test_load_refuses(mapping: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(Outer, mapping)
    assert message in str(caught.value)


@given(
    rate=st.floats(0, 1e9),
    limit=st.none() | st.integers(),
    size=st.tuples(st.integers(), st.integers()),
    extra=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_dump_is_the_inverse_of_load(rate: float, limit: int | None, size: tuple[int, int], extra: dict) -> None:
    spec = Outer(rate, "b", limit, 1, Inner(size), extra)
    assert load(Outer, dump(spec)) == spec
    assert spec_hash(load(Outer, dump(spec))) == spec_hash(spec)


def test_differences_name_the_keys() -> None:
    left, right = dump(Outer(1.0)), dump(Outer(2.0, inner=Inner((1, 3))))
    assert differences(left, right) == ["rate: 1.0 != 2.0", "inner.size: [1, 2] != [1, 3]"]
    assert differences(left, left) == []
    assert differences({"a": 1}, {"b": 2}) == ["a: 1 != None", "b: None != 2"]


def test_compose_checks_what_hydra_lets_pass() -> None:
    config = compose(PrepareConfig, "prepare", ["data=breast_256", "roi=otsu"])
    assert config.data.imaging.roi.method == "otsu"
    assert config.env.prepared == "prepared/breast"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+data.imaging.typo=1", "valid keys: height"),
        ("data.imaging.hight=1", "hight"),
        ("roi=unheard_of", "Available options in 'roi': none otsu threshold"),
        ("data.imaging.bits=12", "12 is not one of 8, 16"),
        ("data.imaging.height=2", "8..16384"),
        ("data.input.std=0", "input.std must be positive"),
        ("a b", "a b"),
    ],
)
def test_compose_refuses(override: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        compose(PrepareConfig, "prepare", [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_defaults_of_the_specs_are_those_of_the_tree() -> None:
    assert compose(PrepareConfig, "prepare").data == DataSpec()
