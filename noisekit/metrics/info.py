"""What a metric is, as data that stands beside its numbers: definition, weights, backbone, range, direction and tie.

A pairwise metric says how likely an image is preferred to another. Tables report it over the standard image of the same
model, prompt and seed, so that 0.5 is standard itself, and two methods are compared as on any other metric:

    preference = softmax(s, s_standard) = σ(s − s_standard)           0 … 1
    tie        = σ(tie of s) − ½                                      as |s − s_standard| ≤ tie of s

with s the raw score, which stands in a column of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """What a metric is. Weights and family are "none" for a formula.

    Args:
        name: of the metric and of its column.
        version: which definition of the score.
        weights: which set of them.
        family: the backbone; metrics of one family are no independent witnesses.
        low: least value of the column, infinite where nothing bounds it.
        high: the largest.
        direction: "higher" or "lower", whichever is better.
        tie: the largest difference that counts as none.
        pairwise: whether the column is the preference over the standard image.
        parts: what the score is made of, each with a column of its own.
        ground_truth: whether it says by construction if a prompt was fulfilled, so that reports put it before all others.
    """

    name: str
    version: str
    weights: str
    family: str
    low: float
    high: float
    direction: str = "higher"
    tie: float
    pairwise: bool = False
    parts: tuple[str, ...] = ()
    ground_truth: bool = False

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """From the fields as a store keeps them, null standing for an infinite bound."""
        values = {field.name: row[field.name] for field in fields(cls)}
        unbounded = {"low": -math.inf, "high": math.inf}
        values |= {key: value for key, value in unbounded.items() if values[key] is None}
        return cls(**values | {"parts": tuple(values["parts"])})

    @property
    def raw(self) -> str:
        """The column of the score itself: the metric's own, but for pairwise ones."""
        return f"{self.name}_score" if self.pairwise else self.name

    @property
    def columns(self) -> tuple[str, ...]:
        """What the metric gives for an image: its score, then each part."""
        return self.raw, *(f"{self.name}_{part}" for part in self.parts)

    def __str__(self) -> str:
        """One line: "clip_score: 100 cos, tiny weights, CLIP ViT-3x96/4; −100 to 100, higher is better, …"."""
        weights = f"{self.weights} weights" if _named(self.weights) else ""
        family = self.family if _named(self.family) else ""
        known = ", ".join(part for part in (self.version, weights, family) if part)
        what = known or "recorded without its definition"
        if self.pairwise:
            what += f"; preference over the standard image from {self.raw}"
        reach = f"{self.range}, " if self.range else ""
        return f"{self.name}: {what}; {reach}{self.direction} is better, tie ≤ {_short(self.tie)}"

    @property
    def range(self) -> str:
        """The range in words, "−1 to 1"; "" where it was not recorded."""
        if math.isnan(self.low):
            return ""
        return "unbounded" if math.isinf(self.high) else f"{_short(self.low)} to {_short(self.high)}"


def preference(raw: ArrayLike, standard: ArrayLike) -> NDArray[np.float64]:
    """How likely an image of score `raw` is preferred to the standard image, 0 … 1; NaN where either is."""
    import numpy as np  # only where there is a pairwise metric

    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(np.subtract(standard, raw, dtype=float))))


def families(infos: Iterable[MetricInfo]) -> dict[str, list[str]]:
    """Backbones that several metrics share, with the names of those metrics."""
    members: dict[str, list[str]] = {}
    for info in infos:
        if _named(info.family):
            members.setdefault(info.family, []).append(info.name)
    return {family: names for family, names in members.items() if len(names) > 1}


def legend(infos: Iterable[MetricInfo]) -> list[str]:
    """A line a metric, and a line for every backbone that several of them share."""
    listed = list(infos)
    shared = [
        f"{', '.join(names[:-1])} and {names[-1]} share the backbone {family} and count as one family"
        for family, names in families(listed).items()
    ]
    return [*map(str, listed), *shared]


def _named(text: str) -> bool:
    return text not in ("", "none")


def _short(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
