"""Grids: names with lists of values, and every combination of them.

    {reno: {steps: [10, 20, 50], lr: 5.0}}  →  reno(steps=10, lr=5.0), reno(steps=20, lr=5.0), reno(steps=50, lr=5.0)
    [standard, cosine: {steps: [2, 20]}]    →  standard, cosine(steps=2), cosine(steps=20)

An entry is a name as it stands ("cosine(steps=2)", "tiny", an object), or a mapping of names to settings. A setting given as
a list takes each of its values in turn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

from noisekit.errors import BadValue
from noisekit.registry import printed

#: Combinations of one grid.
MOST = 10_000


class Entry(NamedTuple):
    """One combination: where it stands in the plan ("methods[1].reno"), the name, and the settings beside the name."""

    where: str
    name: Any
    settings: dict[str, Any]


def entries(given: Any, where: str) -> Iterator[Entry]:
    """Every combination of a name, a mapping, or a list of them; raise `BadValue` on empty lists, with where."""
    if not isinstance(given, list | tuple):
        yield from _entry(given, where)
        return
    if not given:
        raise BadValue(f"{where} is empty; give at least one")
    for i, item in enumerate(given):
        yield from _entry(item, f"{where}[{i}]")


def _entry(given: Any, where: str) -> Iterator[Entry]:
    if given is None or isinstance(given, bool | int | float | list | tuple):
        raise BadValue(
            f"{where} is {printed(given)}, where a name or a mapping of a name to settings should be"
        )
    if not isinstance(given, Mapping):
        yield Entry(where, given, {})
        return
    if not given:
        raise BadValue(f"{where} is an empty mapping; give a name and its settings")
    for name, settings in given.items():
        here = f"{where}.{name}"
        if not isinstance(name, str):
            raise BadValue(f"{here}: {name!r} is not a name")
        if settings is None:
            settings = {}
        if not isinstance(settings, Mapping):
            raise BadValue(
                f"{here} is {printed(settings)}, where settings by name should be, as in {{steps: [10, 20]}}"
            )
        for key, value in settings.items():
            if isinstance(value, list | tuple) and not value:
                raise BadValue(
                    f"{here}.{key} is an empty list, which leaves nothing to run; give at least one value"
                )
        axes = [list(value) if isinstance(value, list | tuple) else [value] for value in settings.values()]
        if math.prod(map(len, axes)) > MOST:
            raise BadValue(f"{here} asks for {math.prod(map(len, axes))} combinations; the most is {MOST}")
        for values in product(*axes):
            yield Entry(here, name, dict(zip(map(str, settings), values, strict=True)))
