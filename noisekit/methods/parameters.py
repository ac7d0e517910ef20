"""Hyper-parameters as dataclass fields that check themselves.

A field made with `parameter` states its meaning, its range, and where its value comes from when nobody gives one:

    value = given, else the model's card, else the method's card for the model, else the paper, else the default
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import Field, field, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from noisekit.errors import BadValue, unknown
from noisekit.models.cards import Card, cards

_NO_VALUE: Any = object()


def parameter(
    doc: str,
    *,
    default: Any = None,
    paper: Any = _NO_VALUE,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    names: str = "",
) -> Any:
    """A hyper-parameter of a method: a dataclass field, annotated with the type of its resolved value.

    Args:
        doc: its meaning, with the symbol of the equation at the head of the module.
        default: its value where neither a user nor a card nor a paper gives one.
        paper: the published value, which goes before the default and is always printed.
        at_least: the smallest number that it may be.
        at_most: the largest.
        names: what a text names that lies on the machine or on a hub, such as "artefact" or "model"; "" otherwise.

    Returns:
        The field, for the body of a frozen dataclass.
    """
    metadata = {"doc": doc, "default": default, "at_least": at_least, "at_most": at_most, "names": names}
    if paper is not _NO_VALUE:
        metadata["paper"] = paper
    return field(default=None, metadata=metadata)


def settings(cls: type) -> dict[str, Field[Any]]:
    """The fields of a method class that are hyper-parameters, by name."""
    return {f.name: f for f in fields(cls) if "doc" in f.metadata}


def paper_values(cls: type) -> dict[str, Any]:
    """The published value of every hyper-parameter that has one."""
    return {name: f.metadata["paper"] for name, f in settings(cls).items() if "paper" in f.metadata}


def given_values(method: Any) -> dict[str, Any]:
    """The settings that somebody gave, or that are resolved."""
    values = {name: getattr(method, name) for name in settings(type(method))}
    return {name: value for name, value in values.items() if value is not None}


def resolved_values(method: Any, card: Card) -> dict[str, Any]:
    """Every setting: as given, else of the model's card, else of the class's own card for the model, else as is usual on the
    model, else the paper's, else its default. Raises `BadValue` where a card names a setting that there is not.
    """
    cls = type(method)
    values = {name: f.metadata["default"] for name, f in settings(cls).items()} | paper_values(cls)
    values |= method.usual(card)
    for carded in (cls.cards.get(card.name, {}), card.methods.get(method.name, {})):
        check_names(method.name, cls, carded)
        values |= carded
    return values | given_values(method)


def printed_values(method: Any) -> dict[str, Any]:
    """The settings that a method's string shows: all but those at a plain default that no known card sets.

    So the string of a resolved method, read and resolved again, is the same method.
    """
    cls = type(method)
    carded = {name for card in cards().values() for name in card.methods.get(method.name, {})}
    carded |= {name for own in cls.cards.values() for name in own}

    def tells(name: str, value: Any) -> bool:
        facts = settings(cls)[name].metadata
        return "paper" in facts or name in carded or value != facts["default"]

    return {name: value for name, value in given_values(method).items() if tells(name, value)}


def check_names(method: str, cls: type, given: Mapping[str, Any]) -> None:
    """Raise unless every name in `given` is a hyper-parameter of `cls`."""
    for name in given:
        if name not in settings(cls):
            raise unknown(f"setting of method {method!r}:", name, settings(cls))


def check_values(method: Any) -> None:
    """Check every setting that is given against its annotation and range."""
    hints = get_type_hints(type(method))
    for name, value in given_values(method).items():
        facts, allowed = settings(type(method))[name].metadata, _alternatives(hints[name])
        where = f"setting {name}={value!r} of method {method.name!r}"
        literals = [choice for kind in allowed if get_origin(kind) is Literal for choice in get_args(kind)]
        names = [_PLAIN[kind] for kind in allowed if kind in _PLAIN]
        if not (
            (isinstance(value, str) and value in literals) or any(_is_a(value, kind) for kind in allowed)
        ):
            choices = [*names, ", ".join(map(repr, literals))] if literals else names
            raise BadValue(f"{where} is not {'' if names else 'one of '}{' or '.join(choices)}")
        low, high = facts["at_least"], facts["at_most"]
        if int in allowed and isinstance(value, int) and value > MOST:
            high = min(high, MOST)
        if isinstance(value, int | float) and not low <= value <= high:
            bounds = (f"at least {low:g}", f"at most {high:g}", f"between {low:g} and {high:g}")
            limit = bounds[0 if high == math.inf else 1 if low == -math.inf else 2]
            raise BadValue(f"{where} is out of range; give a value of {limit}")


#: The largest whole number that a setting takes: no search proposes more candidates, nor takes more steps.
MOST = 1_000_000
_PLAIN = {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _is_a(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(kind, type) and isinstance(value, kind)
