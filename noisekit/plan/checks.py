"""Checks of single values of a plan. `where` is the place in the plan, and stands in every error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from noisekit.errors import BadValue, NoisekitError, unknown
from noisekit.registry import printed

#: No count in a plan is this large.
BEYOND = 10**9


@contextmanager
def at(where: str) -> Iterator[None]:
    """Put the place in front of an error's sentence."""
    try:
        yield
    except NoisekitError as error:
        raise type(error)(f"{where}: {error}") from None


def mapping(given: Any, where: str, keys: Iterable[str], example: str) -> Mapping[str, Any]:
    """A mapping that has no other keys than these; what is null counts as left out."""
    if not isinstance(given, Mapping):
        raise BadValue(f"{where} is {printed(given)}, where keys and values should be, as in {example}")
    known = tuple(keys)
    for key in given:
        if key not in known:
            raise unknown(f"key in {where}:", str(key), known)
    return {key: value for key, value in given.items() if value is not None}


def whole(given: Any, where: str, least: int | None = 1) -> int:
    """A whole number of `least` or more, and of less than a billion."""
    if not isinstance(given, int) or isinstance(given, bool) or (least is not None and given < least):
        limit = "" if least is None else f" of {least} or more"
        raise BadValue(f"{where}={printed(given)} is not a whole number{limit}")
    if abs(given) >= BEYOND:
        raise BadValue(
            f"{where}={printed(given)} is beyond anything that could be computed; the most is {BEYOND - 1}"
        )
    return given


def number(given: Any, where: str) -> float:
    """A finite number."""
    if not isinstance(given, int | float) or isinstance(given, bool) or not -math.inf < given < math.inf:
        raise BadValue(f"{where}={printed(given)} is not a number")
    return given


def flag(given: Any, where: str) -> bool:
    if not isinstance(given, bool):
        raise BadValue(f"{where} is {printed(given)}, where true or false should be")
    return given


def text(given: Any, where: str, what: str) -> str:
    if not isinstance(given, str) or not given.strip():
        raise BadValue(f"{where} is {printed(given)}, where {what} should be")
    return given
