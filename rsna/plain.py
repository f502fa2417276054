"""JSON and YAML that somebody else wrote, parsed to plain values within limits.

The values are None, bool, int, float (finite), str, list and dict with distinct keys, nested at most `MAX_DEPTH` deep.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import yaml

from rsna.errors import InputError

MAX_DEPTH = 64
MAX_YAML_NODES = 20_000  # a configuration has a few hundred; each takes a kilobyte while it is parsed
MAX_DIGITS = 400  # of a number; no float has more before its point
MAX_SHOWN = 160  # characters of a value in an error
MAX_MESSAGE = 500  # characters of somebody else's message in an error


def brief(value: Any) -> str:
    """A value as an error shows it: one line of bounded length."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits
        return f"a huge {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def listing(names: Iterable[Any], most: int = 12) -> str:
    """Names in one line, without quotes where they can be printed; those beyond `most` as their number."""
    known = list(names)
    shown = [name if _is_name(name) else brief(name) for name in known[:most]]
    return ", ".join(shown) + (f" and {len(known) - most} more" if len(known) > most else "")


def one_line(error: BaseException) -> str:
    """The message of an error in one line of bounded length; its type where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 1]}…"


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.isprintable() and 0 < len(name) <= MAX_SHOWN


def parse_json(text: str | bytes, where: str) -> Any:
    """Parse JSON.

    Raises:
        InputError: It is not JSON, holds NaN or a number beyond all floats, a key twice, half a surrogate pair, or is
            nested too deep.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_not_json, parse_float=_finite)
        _check(value)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid JSON: {one_line(error)}") from error
    return value


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML: its plain values only, without tags of objects, aliases (which can grow without bound) and dates.

    Raises:
        InputError: It is not YAML, or holds anything of the above or of what `parse_json` refuses.
    """
    try:
        value = yaml.load(text, Loader=_PlainLoader)  # derived from the safe one
        _check(value)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(f"{where} is not valid YAML: {one_line(error)}") from error
    return value


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise ValueError(f"the key {brief(max(counts, key=lambda key: counts[key]))} is there twice")
    return mapping


def _not_json(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON compliant")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {brief(text)} is out of range")
    return value


def _check(value: Any) -> None:
    """Raise `ValueError` for what is nested too deep, text that is not Unicode, and numbers beyond all floats."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item
                inner += item.values()
            elif isinstance(item, list):
                inner += item
            else:
                _check_scalar(item)
        if not inner:
            return
        level = inner
    raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def _check_scalar(value: Any) -> None:
    if isinstance(value, str):
        if not value.isascii():
            value.encode("utf-8")  # half a surrogate pair is no text, and raises
    elif isinstance(value, int) and value.bit_length() > 1023:
        raise ValueError("a whole number of hundreds of digits")


class _PlainLoader(yaml.SafeLoader):
    """Composes plain nodes only, and not too many."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = self._count = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose one node after counting it."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it uses YAML aliases, which can grow without bound; write the values out")
        self._depth, self._count = self._depth + 1, self._count + 1
        if self._depth > MAX_DEPTH + 1 or self._count > MAX_YAML_NODES:
            raise yaml.YAMLError(f"it is nested more than {MAX_DEPTH} deep, or has more than {MAX_YAML_NODES} values")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """A number of bounded length: those to the base of 60 take a time that grows with its square."""
        if len(node.value) > MAX_DIGITS:
            raise ValueError(f"a number of {len(node.value)} digits")
        whole = node.tag.endswith(":int")
        value: int | float = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{node.value} is not finite")
        return value

    def construct_distinct(self, node: yaml.MappingNode) -> dict[Any, Any]:
        """A mapping whose keys are distinct."""
        return _unique(self.construct_pairs(node, deep=True))


_PlainLoader.yaml_constructors = {
    "tag:yaml.org,2002:null": yaml.SafeLoader.construct_yaml_null,
    "tag:yaml.org,2002:bool": yaml.SafeLoader.construct_yaml_bool,
    "tag:yaml.org,2002:int": _PlainLoader.construct_number,
    "tag:yaml.org,2002:float": _PlainLoader.construct_number,
    "tag:yaml.org,2002:str": yaml.SafeLoader.construct_yaml_str,
    "tag:yaml.org,2002:timestamp": yaml.SafeLoader.construct_yaml_str,  # a date stays the text that was written
    "tag:yaml.org,2002:value": yaml.SafeLoader.construct_yaml_str,  # a single `=`
    "tag:yaml.org,2002:seq": lambda loader, node: loader.construct_sequence(node, deep=True),
    "tag:yaml.org,2002:map": _PlainLoader.construct_distinct,
    None: yaml.SafeLoader.construct_undefined,
}
