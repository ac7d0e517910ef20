"""Methods that differ in one number only, as curves over that number: what a setting does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from noisekit import registry
from noisekit.report.source import expression_of, labels, limits
from noisekit.report.tables import Line
from noisekit.types import Arm

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
    groups: dict[tuple[str, str], dict[Arm, dict[float, Line]]] = {}
    for line in lines:
        for method, setting, value, rest in _numbers(line.arm):
            groups.setdefault((method, setting), {}).setdefault(rest, {})[value] = line
    found = []
    for (method, setting), curves in groups.items():
        long = {rest: points for rest, points in curves.items() if len(points) >= POINTS}
        names = labels(long)
        if long:
            drawn = [Curve(names[str(rest)], sorted(points.items())) for rest, points in long.items()]
            found.append(Sweep(method, setting, drawn))
    return found


def _numbers(arm: Arm) -> Iterator[tuple[str, str, float, Arm]]:
    """The numbers that an arm sets: bare name, setting, value, and the arm without the setting."""
    one, given = expression_of(arm), limits(arm.budget)
    for key, value in one.settings.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            others = {name: other for name, other in one.settings.items() if name != key}
            rest = replace(arm, method=registry.render(one.name, others, one.wrapped))
            yield one.name, key, float(value), rest
    if len(given) == 1:
        ((unit, limit),) = given.items()
        yield one.name, f"{unit} (budget)", limit, Arm(arm.method)
