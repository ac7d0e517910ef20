"""Hyper-parameters as dataclass fields that check themselves.

A field made with `parameter` states its range, its meaning, and the paper's value. Left at None, a field with a paper
value resolves from the model's card first, then from the paper.
"""

from __future__ import annotations

import math
import types
from dataclasses import Field, field, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from noisekit.errors import BadValue, unknown

_NO_VALUE: Any = object()


def parameter(
    doc: str,
    *,
    default: Any = None,
    paper: Any = _NO_VALUE,
    at_least: float = -math.inf,
    at_most: float = math.inf,
) -> Any:
    """A dataclass field with its meaning, default, the published value, and an inclusive range for numbers."""
    metadata = {"doc": doc, "at_least": at_least, "at_most": at_most}
    if paper is not _NO_VALUE:
        metadata["paper"] = paper
    return field(default=default, metadata=metadata)


def settings(cls: type) -> dict[str, Field[Any]]:
    """The fields of a method class that are hyper-parameters, by name."""
    return {f.name: f for f in fields(cls) if "doc" in f.metadata}


def paper_values(cls: type) -> dict[str, Any]:
    """The published value of every hyper-parameter that has one."""
    return {name: f.metadata["paper"] for name, f in settings(cls).items() if "paper" in f.metadata}


def check_names(method: str, cls: type, given: dict[str, Any]) -> None:
    """Raise unless every name in `given` is a hyper-parameter of `cls`."""
    for name in given:
        if name not in settings(cls):
            raise unknown(f"setting of method {method!r}:", name, settings(cls))


def check_values(method: str, instance: Any) -> None:
    """Check every hyper-parameter of a method instance against its annotation and range; whole floats become ints."""
    hints = get_type_hints(type(instance))
    for name, f in settings(type(instance)).items():
        value, allowed = getattr(instance, name), _alternatives(hints[name])
        if value is None and type(None) in allowed:
            continue
        where = f"setting {name}={value!r} of method {method!r}"
        literals = [choice for kind in allowed if get_origin(kind) is Literal for choice in get_args(kind)]
        if literals and not (isinstance(value, str) and value in literals):
            raise BadValue(f"{where} is not one of {', '.join(map(repr, literals))}")
        if not literals and not any(_is_a(value, kind) for kind in allowed):
            names = " or ".join(_PLAIN[kind] for kind in allowed if kind in _PLAIN)
            raise BadValue(f"{where} is not {names}")
        low, high = f.metadata["at_least"], f.metadata["at_most"]
        if isinstance(value, int | float) and not low <= value <= high:
            limit = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
            raise BadValue(f"{where} is out of range; give a value of {limit}")


_PLAIN = {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _is_a(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(kind, type) and isinstance(value, kind)
