"""What a search varies: a method, ranges or choices for its settings, and the metric that judges at equal cost.

search:
  method: reno(steps=20)                    # settings that stay
  over:
    lr: {low: 0.5, high: 10, log: true}     # a number between low and high; whole where the setting is, with step
    rewards: {choices: ["hps", "clip_score"]}
  metric: truth                             # not what the method maximises itself, unless allow_optimised: true
  trials: 20
  calls: 60                                 # budget of every image of every trial
  seed: 0                                   # of the search; the same plan searches the same way
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from noisekit import registry
from noisekit.errors import BadValue
from noisekit.methods import NoiseMethod, load_method
from noisekit.methods.parameters import settings
from noisekit.plan.checks import at, flag, mapping, number, text, whole
from noisekit.registry import checked_metrics, printed
from noisekit.types import Budget


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included; on a logarithmic scale, or in steps from low on."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        return self.low, self.high

    def value(self, suggested: float) -> Any:
        """A suggested value as it is written: to four digits, and within the range."""
        if self.whole:
            return int(suggested)
        return min(max(float(f"{suggested:.4g}"), float(self.low)), float(self.high))


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    choices: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        return self.choices

    def value(self, suggested: Any) -> Any:
        return suggested


@dataclass(frozen=True)
class Search:
    """A checked search; see the module."""

    method: str
    over: Mapping[str, Range | Choice]
    metric: str
    trials: int
    calls: float
    allow_optimised: bool = False
    seed: int = 0

    @property
    def first(self) -> dict[str, Any]:
        """The first end of every range, and the first of every choice."""
        return {name: axis.ends[0] for name, axis in self.over.items()}

    def method_at(self, values: Mapping[str, Any]) -> NoiseMethod:
        """The method with one value for every setting that is varied."""
        name, fixed, wrapped = registry.parse(self.method)
        return load_method(registry.render(name, fixed | dict(values), wrapped))

    def check_metric(self, method: NoiseMethod) -> None:
        """Raise `BadValue` where the method maximises the metric itself and nobody allowed that."""
        if self.metric in method.optimised and not self.allow_optimised:
            raise BadValue(
                f"metric {self.metric!r} is what {method} maximises itself, so it cannot tell which settings are good; "
                "choose another metric, or write allow_optimised: true"
            )

    @classmethod
    def read(cls, given: Any, where: str) -> Search:
        """The search that a mapping describes; raises `BadValue` with the place of what is wrong."""
        said = mapping(given, where, cls.__dataclass_fields__, "{method: reno, over: ...}")
        for key in ("method", "over", "metric", "trials", "calls"):
            if key not in said:
                raise BadValue(
                    f"{where}.{key} is missing; a search names method, over, metric, trials and calls"
                )
        with at(f"{where}.method"):
            method = load_method(text(said["method"], "it", "the name of a method"))
        with at(f"{where}.metric"):
            (metric,) = checked_metrics([text(said["metric"], "it", "the name of a metric")])
        search = cls(
            method=said["method"],
            over=_over(said["over"], f"{where}.over", method),
            metric=metric,
            trials=whole(said["trials"], f"{where}.trials"),
            calls=number(said["calls"], f"{where}.calls"),
            allow_optimised=flag(said.get("allow_optimised", False), f"{where}.allow_optimised"),
            seed=whole(said.get("seed", 0), f"{where}.seed", least=0),
        )
        search._check(where)
        return search

    def _check(self, where: str) -> None:
        """Try the ends of every range, and every choice, beside the first of the others."""
        first = self.first
        with at(where):
            Budget(calls=self.calls)
        for name, axis in self.over.items():
            for end in axis.ends:
                with at(f"{where}.over.{name}"):
                    self.check_metric(self.method_at(first | {name: end}))


def _over(given: Any, where: str, method: NoiseMethod) -> dict[str, Range | Choice]:
    axes = mapping(given, where, settings(type(method)), "{lr: {low: 0.5, high: 10}}")
    if not axes:
        raise BadValue(f"{where} names no setting to vary, as in {{lr: {{low: 0.5, high: 10}}}}")
    hints = get_type_hints(type(method))
    kinds = {name: get_args(hints[name]) or (hints[name],) for name in axes}
    return {
        name: _axis(axis, f"{where}.{name}", int in kinds[name] and float not in kinds[name])
        for name, axis in axes.items()
    }


def _axis(given: Any, where: str, of_whole: bool) -> Range | Choice:
    example = "{low: 1, high: 10} or {choices: [1, 2]}"
    said = mapping(given, where, ("low", "high", "log", "step", "choices"), example)
    if "choices" in said:
        if len(said) > 1 or not isinstance(said["choices"], list) or not said["choices"]:
            raise BadValue(f"{where}.choices is not one list of values alone; write {example}")
        for value in said["choices"]:
            if not isinstance(value, str | int | float | None):
                raise BadValue(f"{where}.choices holds {printed(value)}, which is no single value")
        return Choice(tuple(said["choices"]))
    if not {"low", "high"} <= said.keys():
        raise BadValue(f"{where} lacks low, high or choices; write {example}")
    ends = {
        name: whole(said[name], f"{where}.{name}", least=None)
        if of_whole
        else number(said[name], f"{where}.{name}")
        for name in ("low", "high", "step")
        if name in said
    }
    axis = Range(**ends, log=flag(said.get("log", False), f"{where}.log"), whole=of_whole)
    if not axis.low < axis.high or (axis.step is not None and axis.step <= 0):
        raise BadValue(
            f"{where} runs from {axis.low:g} to {axis.high:g}; give a low under high, and a step above 0"
        )
    if axis.log and (axis.low <= 0 or axis.step is not None):
        raise BadValue(f"{where} has log: true, which needs a low above 0 and no step")
    return axis
