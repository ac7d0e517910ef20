"""What a search varies: a method, ranges or choices for its settings, and the metric that judges at equal cost.

search:
  method: reno(steps=20)                    # settings that stay
  over:
    lr: {low: 0.5, high: 10, log: true}     # a number between low and high; whole where the setting is, with step
    rewards: {choices: ["hps", "clip_score"]}
  metric: truth                             # not what the method maximises itself, unless allow_optimised: true
  trials: 20
  calls: 60                                 # budget of every image of every trial; or equivalents, or seconds
  seed: 0                                   # of the search; the same plan searches the same way
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args, get_type_hints

from pydantic import ConfigDict, Field, JsonValue, ValidationInfo, field_validator

from noisekit import registry
from noisekit.errors import BadValue, unknown
from noisekit.plan.axes import read_metrics
from noisekit.plan.reading import BEYOND, POSITIVE, Count, Keys, Number, Whole, at, text
from noisekit.prompts import PromptSuite
from noisekit.registry import printed
from noisekit.types import Budget

if TYPE_CHECKING:
    from noisekit.methods import NoiseMethod

AXIS = "{low: 1, high: 10} or {choices: [1, 2]}"
#: What a trial's budget may be given in; candidates cost what they like, and memory is not used up.
COSTS = ("calls", "equivalents", "seconds")
#: What a schema says of them: one at least is there.
ONE_OF_COSTS: JsonValue = [{"required": [name], "properties": {name: {"type": "number"}}} for name in COSTS]


class Range(Keys):
    """Numbers from low to high, both included; on a logarithmic scale, or in steps from low on."""

    example: ClassVar[str] = AXIS

    low: Number
    high: Number
    log: bool = False
    step: Number | None = None

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that are tried before anything runs."""
        return self.low, self.high

    def value(self, suggested: float) -> Any:
        """A suggested value as it is written: to four digits, and within the range."""
        return min(max(float(f"{suggested:.4g}"), float(self.low)), float(self.high))


class WholeRange(Range):
    """Whole numbers from low to high."""

    low: Count
    high: Count
    step: Count | None = None

    def value(self, suggested: float) -> int:
        """A suggested value as a whole number."""
        return int(suggested)


class Choices(Keys):
    """One of several values."""

    example: ClassVar[str] = AXIS

    choices: Annotated[tuple[Any, ...], Field(strict=False, min_length=1)]

    @property
    def ends(self) -> tuple[Any, ...]:
        """All of them."""
        return self.choices

    def value(self, suggested: Any) -> Any:
        """A choice is what it is."""
        return suggested


class Search(Keys):
    """What varies, and what judges."""

    example: ClassVar[str] = (
        "{method: reno, over: {lr: {low: 0.5, high: 10}}, metric: truth, trials: 20, calls: 60}"
    )

    model_config = ConfigDict(json_schema_extra={"anyOf": ONE_OF_COSTS})

    method: str
    """The method, with the settings that stay: reno(steps=20)."""
    over: Mapping[str, Range | WholeRange | Choices] = Field(json_schema_extra={"minProperties": 1})
    """A range or choices for each setting that is varied."""
    metric: str
    """What judges the trials: not what the method maximises itself."""
    trials: Whole
    """How many settings are tried."""
    calls: Number | None = Field(None, json_schema_extra=POSITIVE)
    """The budget of every image of every trial, in evaluations of the denoiser."""
    equivalents: Number | None = Field(None, json_schema_extra=POSITIVE)
    """The same in denoiser equivalents, in which rewards and decoders count, too."""
    seconds: Number | None = Field(None, json_schema_extra=POSITIVE)
    """The same in seconds of this machine; another finds other settings."""
    allow_optimised: bool = False
    """Judge by what the method maximises itself all the same."""
    seed: Annotated[int, Field(ge=0, lt=BEYOND)] = 0
    """Of the search: the same plan searches the same way."""

    @field_validator("method", mode="plain", json_schema_input_type=str)
    @classmethod
    def _a_method(cls, given: Any) -> str:
        from noisekit.methods import load_method

        with at("search.method"):
            load_method(text(given, "it", "the name of a method"))
        return str(given)

    @field_validator("metric", mode="plain", json_schema_input_type=str)
    @classmethod
    def _a_metric(cls, given: Any) -> str:
        (metric,) = read_metrics([text(given, "search.metric", "the name of a metric")], "search.metric")
        return metric

    @field_validator("over", mode="plain", json_schema_input_type=dict[str, Range | Choices])
    @classmethod
    def _axes(cls, given: Any, info: ValidationInfo) -> dict[str, Range | Choices]:
        from noisekit.methods import load_method
        from noisekit.methods.parameters import settings

        if not isinstance(given, Mapping):
            raise BadValue(
                f"search.over is {printed(given)}, where keys and values should be, as in {{lr: {AXIS}}}"
            )
        if not any(axis is not None for axis in given.values()):
            raise BadValue("search.over names no setting to vary, as in {lr: {low: 0.5, high: 10}}")
        if "method" not in info.data:  # what is wrong with it is said instead
            return {}
        method = type(load_method(info.data["method"]))
        hints, known = get_type_hints(method), settings(method)
        axes = {}
        for name, said in given.items():
            if name not in known:
                raise unknown("key in search.over:", str(name), known)
            if said is not None:
                kinds = get_args(hints[name]) or (hints[name],)
                axes[name] = _axis(said, f"search.over.{name}", int in kinds and float not in kinds)
        return axes

    @property
    def limits(self) -> dict[str, float]:
        """What an image of a trial may cost, by the names of `COSTS`."""
        given = {name: getattr(self, name) for name in COSTS}
        return {name: limit for name, limit in given.items() if limit is not None}

    @property
    def budget(self) -> Budget:
        """Of every image of every trial."""
        return Budget(seconds=self.seconds, calls=self.calls, equivalents=self.equivalents)

    @property
    def first(self) -> dict[str, Any]:
        """The first end of every range, and the first of every choice."""
        return {name: axis.ends[0] for name, axis in self.over.items()}

    def method_at(self, values: Mapping[str, Any]) -> NoiseMethod:
        """The method with one value for every setting that is varied."""
        from noisekit.methods import load_method

        name, fixed, wrapped = registry.parse(self.method)
        return load_method(registry.render(name, fixed | dict(values), wrapped))

    def check_metric(self, method: NoiseMethod) -> None:
        """Raise `BadValue` where the method maximises the metric itself and nobody allowed that."""
        if self.metric in method.optimised and not self.allow_optimised:
            raise BadValue(
                f"metric {self.metric!r} is what {method} maximises itself, so it cannot tell which settings are good; "
                "choose another metric, or write allow_optimised: true"
            )

    def check_ends(self) -> None:
        """Try the ends of every range, and every choice, beside the first of the others."""
        if not self.limits:
            raise BadValue(
                f"search gives its trials no budget, and they are compared at equal cost; give {', '.join(COSTS[:-1])} or "
                f"{COSTS[-1]}"
            )
        with at("search"):
            _ = self.budget
        for name, axis in self.over.items():
            for end in axis.ends:
                with at(f"search.over.{name}"):
                    self.check_metric(self.method_at(self.first | {name: end}))


def _axis(said: Any, where: str, of_whole: bool) -> Range | Choices:
    if isinstance(said, Mapping) and "choices" in said:
        if len(said) > 1 or not isinstance(said["choices"], list | tuple) or not said["choices"]:
            raise BadValue(f"{where}.choices is not one list of values alone; write {AXIS}")
        for value in said["choices"]:
            if not isinstance(value, str | int | float | None):
                raise BadValue(f"{where}.choices holds {printed(value)}, which is no single value")
        return Choices.read(said, where)
    axis = (WholeRange if of_whole else Range).read(said, where)
    if not axis.low < axis.high or (axis.step is not None and axis.step <= 0):
        raise BadValue(
            f"{where} runs from {axis.low:g} to {axis.high:g}; give a low under high, and a step above 0"
        )
    if axis.log and (axis.low <= 0 or axis.step is not None):
        raise BadValue(f"{where} has log: true, which needs a low above 0 and no step")
    return axis


def halves(suites: tuple[PromptSuite, ...]) -> tuple[tuple[PromptSuite, ...], tuple[PromptSuite, ...]]:
    """Every other prompt of each suite, which a search is made on, and those between, which judge what it found; suites
    that come out empty are left out.
    """
    parts = tuple(tuple(replace(s, prompts=s.prompts[first::2]) for s in suites) for first in (0, 1))
    first, second = (tuple(suite for suite in part if len(suite)) for part in parts)
    return first, second
