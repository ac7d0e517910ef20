"""Methods that differ in one number only, as curves over that number: what a setting does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from noisekit import registry
from noisekit.report.source import labels, limits, parsed
from noisekit.report.tables import Line

#: A curve has as many points or more.
POINTS = 3


@dataclass(frozen=True)
class Curve:
    """Lines by the value of the setting, the smallest first. label: what else is set, as far as it tells curves apart."""

    label: str
    points: Sequence[tuple[float, Line]]


@dataclass(frozen=True)
class Sweep:
    """One setting of one method ("cosine", "steps"), or one limit of its budget; a curve for all else that is set."""

    method: str
    setting: str
    curves: Sequence[Curve]

    @property
    def title(self) -> str:
        return f"{self.method}: {self.setting}"


def sweeps(lines: Sequence[Line]) -> list[Sweep]:
    """The sweeps among the methods of one model, in their order."""
    groups: dict[tuple[str, str], dict[str, dict[float, Line]]] = {}
    for line in lines:
        for method, setting, value, rest in _numbers(line.method):
            groups.setdefault((method, setting), {}).setdefault(rest, {})[value] = line
    found = []
    for (method, setting), curves in groups.items():
        long = {rest: points for rest, points in curves.items() if len(points) >= POINTS}
        names = labels(list(long))
        if long:
            drawn = [Curve(names[rest], sorted(points.items())) for rest, points in long.items()]
            found.append(Sweep(method, setting, drawn))
    return found


def _numbers(method: str) -> Iterator[tuple[str, str, float, str]]:
    """The numbers that a method string sets: bare name, setting, value, and the string without the setting."""
    one, budget = parsed(method)
    for key, value in one.settings.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            others = {name: other for name, other in one.settings.items() if name != key}
            yield one.name, key, float(value), registry.render(one.name, others, one.wrapped) + budget
    given = limits(budget)
    if len(given) == 1:
        ((unit, limit),) = given.items()
        yield one.name, f"{unit} (budget)", limit, registry.render(*one)
