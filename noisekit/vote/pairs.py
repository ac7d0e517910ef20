"""Which images can be shown side by side: those of one model, prompt and seed, by two methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import pandas as pd

from noisekit import registry
from noisekit.errors import BadValue


@dataclass(frozen=True)
class Pair:
    """Two images, `one` by the method that stands earlier in the run; methods: their place among the pairs of methods."""

    model: str
    prompt: str
    seed: int
    one: str
    two: str
    methods: tuple[str, str]

    @property
    def key(self) -> frozenset[str]:
        """The pair whatever its sides."""
        return frozenset((self.one, self.two))


def pairs(frame: pd.DataFrame, methods: Sequence[str] = (), model: str | None = None) -> list[Pair]:
    """All pairs of a run's frame by some methods (default: all of them), of a model or of all.

    Raises:
        BadValue: a method or model that the run has not, or no two images of one prompt and seed.
    """
    if model is not None:
        if model not in set(frame["model"]):
            raise BadValue(f"the run has no model {model!r} (it has: {', '.join(frame['model'].unique())})")
        frame = frame[frame["model"] == model]
    expressions = dict(zip(frame["method"], frame["expression"], strict=True))
    known = list(expressions)
    wanted = [named(method, expressions) for method in methods] or known
    if len(set(wanted)) < len(wanted):
        raise BadValue(
            f"method {max(wanted, key=wanted.count)!r} stands twice; give two or more different ones"
        )
    place = {method: known.index(method) for method in wanted}
    images = frame[frame["method"].isin(wanted) & frame["image"].notna()]
    found = []
    for key, own in images.groupby(["model", "prompt", "seed"], sort=False):
        name, prompt, seed = cast(tuple[str, str, int], key)
        by = sorted(zip(own["method"], own["image"], strict=True), key=lambda image: place[image[0]])
        for (first, one), (second, two) in combinations(by, 2):
            found.append(Pair(name, prompt, int(seed), one, two, (first, second)))
    if not found:
        raise BadValue(
            "there are no two images of one prompt and seed by different methods to vote on; run `noisekit compare` with "
            "two methods or more first"
        )
    return found


def named(method: str, known: Mapping[str, str]) -> str:
    """The method of a run that a text means, in full or by its bare name; raises `BadValue` on none and on several.

    known: of every method in the tables, what it is without its budget.
    """
    if method in known:
        return method
    same = [name for name, expression in known.items() if registry.parse(expression).name == method]
    if len(same) == 1:
        return same[0]
    what = f"is {len(same)} methods of the run" if same else "is no method of the run"
    raise BadValue(f"{method!r} {what}; give one of: {', '.join(map(repr, same or known))}")
