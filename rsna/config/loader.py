"""The one strict loader of configurations: a mapping becomes a checked, frozen dataclass, or a clear error.

It needs no omegaconf, so that the same code reads a bundle's `config.yaml` on Kaggle.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from rsna.errors import InputError
from rsna.io import digest
from rsna.plain import brief, listing, one_line

Spec = TypeVar("Spec")


def load(spec: type[Spec], mapping: Any, where: str = "config") -> Spec:
    """Build `spec` (a dataclass) from a mapping, checking types, choices, tuple lengths and unknown keys.

    Args:
        spec: The dataclass. Its fields may be bool, int, float, str, Literal, Optional, tuple, dict and dataclasses.
        mapping: Nested dictionaries and lists, as YAML gives them.
        where: How errors name the mapping, for instance the file.

    Raises:
        InputError: Naming the key and, where a key is unknown, the valid ones.
    """
    if not isinstance(mapping, Mapping):
        raise InputError(f"{where}: expected a mapping with the keys of {spec.__name__}, got {brief(mapping)}")
    fields = {f.name: f for f in dataclasses.fields(spec)}  # type: ignore[arg-type]
    unknown = [key for key in mapping if key not in fields]
    if unknown:
        raise InputError(f"{where}: unknown key(s) {listing(unknown)}; valid keys: {', '.join(fields)}")
    missing = [name for name, f in fields.items() if name not in mapping and _required(f)]
    if missing:
        raise InputError(f"{where}: missing key(s) {', '.join(missing)}")
    hints = _hints(spec)  # type: ignore[arg-type]
    values = {key: _convert(hints[key], value, f"{where}.{key}") for key, value in mapping.items()}
    try:
        return spec(**values)
    except ValueError as error:  # raised by the spec's own __post_init__
        raise InputError(f"{where}: {one_line(error)}") from error


def dump(spec: Any) -> Any:
    """The nested dictionaries and lists of a spec, ready for YAML or JSON: the inverse of `load`."""
    if dataclasses.is_dataclass(spec) and not isinstance(spec, type):
        return {f.name: dump(getattr(spec, f.name)) for f in dataclasses.fields(spec)}
    if isinstance(spec, Mapping):
        return {key: dump(value) for key, value in spec.items()}
    return [dump(value) for value in spec] if isinstance(spec, tuple | list) else spec


def spec_hash(spec: Any) -> str:
    """The SHA-256 of a spec's values."""
    return digest(dump(spec))


def differences(left: Any, right: Any, prefix: str = "") -> list[str]:
    """The keys in which two dumped specs differ, each as `key: left != right`."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        keys = [*left, *(key for key in right if key not in left)]
        pairs = ((f"{prefix}.{key}".lstrip("."), left.get(key), right.get(key)) for key in keys)
        return [line for key, a, b in pairs for line in differences(a, b, key)]
    return [] if left == right else [f"{prefix}: {left!r} != {right!r}"]


@cache
def _hints(spec: type) -> dict[str, Any]:
    return get_type_hints(spec)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return load(kind, value, where)
    if origin in (Union, types.UnionType):
        return _convert_union(kind, value, where)
    if origin is Literal:
        return _convert_choice(get_args(kind), value, where)
    if origin is tuple:
        return _convert_tuple(get_args(kind), value, where)
    if origin is dict:
        return _convert_dict(get_args(kind), value, where)
    return _convert_scalar(kind, value, where)


def _convert_union(kind: Any, value: Any, where: str) -> Any:
    if value is None and type(None) in get_args(kind):
        return None
    members = [member for member in get_args(kind) if member is not type(None)]
    if len(members) == 1:
        return _convert(members[0], value, where)  # Optional: the member's own error is the clear one
    for member in members:
        try:
            return _convert(member, value, where)
        except InputError:
            continue
    raise InputError(f"{where}: {brief(value)} is none of {', '.join(_name(m) for m in members)}")


def _convert_choice(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        raise InputError(f"{where}: {brief(value)} is not one of {', '.join(map(str, choices))}")
    return value


def _convert_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{where}: expected a list, got {brief(value)}")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise InputError(f"{where}: expected {len(kinds)} values, got {len(value)}")
    return tuple(_convert(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def _convert_dict(kinds: tuple[Any, Any], value: Any, where: str) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: expected a mapping, got {brief(value)}")
    return {_convert(kinds[0], k, where): _convert(kinds[1], v, f"{where}.{listing([k])}") for k, v in value.items()}


def _convert_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if not isinstance(value, (int, float) if kind is float else kind) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"{where}: expected {_name(kind)}, got {brief(value)}")
    if kind is float:
        return _finite(value, where)
    return value


def _finite(value: int | float, where: str) -> float:
    try:
        number = float(value)
    except OverflowError as error:
        raise InputError(f"{where}: the number is too large") from error
    if not math.isfinite(number):
        raise InputError(f"{where}: {'NaN' if number != number else number} is not a setting")
    return number


def _name(kind: Any) -> str:
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(kind, str(kind))
