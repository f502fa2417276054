"""What the fuzzing shares: bounded settings, damaged bytes, and values that no writer would choose."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from rsna.errors import RsnaError

FUZZED = settings(  # how many examples is the profile's business, see scripts/fuzz.sh
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
LONGEST = 2500  # characters of an error: the path of a test folder, and values that were cut

ODD_TEXTS = st.sampled_from(
    [
        *("", " ", "NA", "nan", "-inf", "1e999", "9" * 400, "9" * 5000, "1_0", "0x10", "1:2:3", "=1+1"),
        *("../x", "/etc/passwd", "a/../../b", "..", ".", "\\", "CON", "%2e%2e", "x" * 5000),
        *("\0", "\ud800", "x\ny", "\ufeff", "=", "<<", "~"),
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, 2**64, -(2**63), 10**400]),
    st.floats(),
    st.text(max_size=20),
    ODD_TEXTS,
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The same bytes, some changed, cut out, doubled or put in."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(changed)))
        end = draw(st.integers(start, min(len(changed), start + 64)) | st.integers(start, len(changed)))
        kind = draw(st.sampled_from(["set", "set", "set", "cut", "double", "insert", "zero"]))
        if kind == "set" and start < len(changed):
            changed[start] = draw(st.integers(0, 255))
        elif kind == "cut":
            del changed[start:end]
        elif kind == "double":
            changed[start:start] = changed[start : min(end, start + 4096)]
        elif kind == "insert":
            changed[start:start] = draw(st.binary(max_size=16))
        elif kind == "zero":
            changed[start:end] = bytes(end - start)
    return bytes(changed)


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """The same nested value, with one to three of its parts replaced, removed or added."""
    changed = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        node, key = changed, None
        while isinstance(node, dict | list) and node and (key is None or draw(st.integers(0, 3))):
            parent = node
            key = draw(st.sampled_from(sorted(node))) if isinstance(node, dict) else draw(st.integers(0, len(node) - 1))
            node = parent[key]
        if key is None:
            return draw(VALUES)
        kind = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if kind == "replace":
            parent[key] = draw(VALUES)
        elif kind == "remove":
            del parent[key]
        elif isinstance(parent, dict):
            parent[draw(st.text(max_size=8))] = draw(VALUES)
        else:
            parent.append(draw(VALUES))
    return changed


def checked(call: Callable[[], Any], *also: type[Exception]) -> Any:
    """What a call returns; None where it raises an error of ours (or one of `also`) with a message of one line."""
    try:
        return call()
    except (RsnaError, *also) as error:
        message = str(error)
        assert message
        assert "\n" not in message
        assert len(message) < LONGEST, message
        return None
