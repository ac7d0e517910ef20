"""Quality against cost as a chart that can be asked: what should I use at this budget?

Points are methods, a bar the 95 % interval of the difference to standard, thin lines searches on their way, the stair the
advice (`advice`). The picture is SVG made here, some kilobytes: it prints, needs no script, and takes its colours from the
page. A charting library would bring one to five megabytes for the same. Places are in pixels of a canvas:

    x = LEFT + (log c − log low) / (log high − log low) · (WIDTH − LEFT − RIGHT)          c: the cost of an image
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.ticker import MaxNLocator

from noisekit.report.advice import COSTS, Advice, Step, advice, priced
from noisekit.report.figure import Look
from noisekit.report.paths import Path
from noisekit.report.source import ReportedRun
from noisekit.report.tables import DAGGER, Line, Ranking, number
from noisekit.shown import shown

WIDTH, HEIGHT = 720, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 18, 14, 46
CANVAS = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM}
#: Where a point of a `Path` has each cost.
_PLACES = {"calls": 0, "equivalents": 1, "seconds": 2}
#: How far the axis reaches beyond the cheapest and the dearest image.
BEYOND = 1.5


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Point:
    """A method: its place, the ends of its interval, and its look. pale: nothing shows it to be worth its cost.

    name: the method, with a mark where it climbed the metric; says: name and figures.
    """

    name: str
    says: str
    x: float
    y: float
    low: float | None
    high: float | None
    look: Look
    pale: bool


@dataclass(frozen=True)
class Chart:
    """Everything in pixels but low and high, the ends of the axis of costs, and steps, the advice."""

    metric: str
    cost: str
    unit: str
    axis: str
    low: float
    high: float
    columns: Sequence[Tick]
    rows: Sequence[Tick]
    points: Sequence[Point]
    paths: Sequence[tuple[Look, str]]
    standard: float | None
    stair: str
    steps: Sequence[Step]

    @property
    def title(self) -> str:
        return f"{self.metric} by {self.cost}"

    @property
    def data(self) -> list[tuple[float, str, str]]:
        """The advice for the script: from which budget on, what, and what it brings."""
        return [(step.budget, shown(step.label), shown(step.text)) for step in self.steps]


def charts(
    run: ReportedRun, ranked: Ranking, styles: Mapping[str, Look], paths: Mapping[tuple[str, str, str], Path]
) -> dict[str, list[Chart]]:
    """By model, for each metric that may judge one against seconds and one by `_costs`; models without any are left out.

    paths: what searches had on their way, by model, method and metric.
    """
    curves = run.curves()
    whole = run.frame().assign(search=lambda frame: frame["method"])
    found: dict[str, list[Chart]] = {}
    for model, lines in ranked.models.items():
        for metric in judges(ranked, model):
            own = advice(run, lines, metric, curves if metric in curves else whole)
            drawn = [_chart(lines, own, metric, cost, styles, paths) for cost in _costs(lines)] if own else []
            found.setdefault(model, []).extend(chart for chart in drawn if chart is not None)
    return {model: own for model, own in found.items() if own}


def _costs(lines: Sequence[Line]) -> tuple[str, str]:
    """Seconds, and the operations of all networks where every method's are known, else calls of the denoiser alone."""
    return "seconds", "equivalents" if all(line.equivalents > 0 for line in lines) else "calls"


def judges(ranked: Ranking, model: str) -> list[str]:
    """The metrics that cost is weighed against: those held out on a model, or all where none is."""
    return ranked.held_out(model) or list(ranked.metrics)


def _chart(
    lines: Sequence[Line],
    found: Advice,
    metric: str,
    cost: str,
    styles: Mapping[str, Look],
    paths: Mapping[tuple[str, str, str], Path],
) -> Chart | None:
    drawn = [
        line for line in lines if _price(line, cost) > 0 and not math.isnan(line.comparisons[metric].mean)
    ]
    if not drawn:
        return None
    steps = found.steps(cost)
    ways = {
        line.label: [(point[_PLACES[cost]], point[-1]) for point in own]
        for line in drawn
        if (own := paths.get((line.model, line.method, metric)))
    }
    costs = [_price(line, cost) for line in drawn] + [c for way in ways.values() for c, _ in way if c > 0]
    values = [v for line in drawn for v in _reach(line, metric)] + [
        v for way in ways.values() for _, v in way
    ]
    scale = _Scale.around(costs, values)
    used = {step.label for step in steps}
    standard = next((line.comparisons[metric].mean for line in drawn if line.is_standard), None)
    means = {offer.label: offer.mean for offer in found.offers.values()}
    return Chart(
        metric=metric,
        cost=cost,
        unit=COSTS[cost][0],
        axis=COSTS[cost][1],
        low=scale.low,
        high=scale.high,
        columns=[
            Tick(scale.x(tick), number(tick, _places(tick))) for tick in _log_ticks(scale.low, scale.high)
        ],
        rows=[Tick(scale.y(tick), text) for tick, text in scale.rows()],
        points=[_point(line, metric, cost, scale, styles[line.label], line.label in used) for line in drawn],
        paths=[
            (styles[label], _line((scale.x(c), scale.y(v)) for c, v in way if c > 0))
            for label, way in ways.items()
        ],
        standard=None if standard is None else scale.y(standard),
        stair=_stair(steps, means, scale),
        steps=steps,
    )


@dataclass(frozen=True)
class _Scale:
    """From costs and values to pixels."""

    low: float
    high: float
    bottom: float
    top: float

    @classmethod
    def around(cls, costs: Sequence[float], values: Sequence[float]) -> _Scale:
        bottom, top = min(values), max(values)
        margin = 0.08 * (top - bottom) or 0.05 * abs(top) or 0.5
        return cls(min(costs) / BEYOND, max(costs) * BEYOND, bottom - margin, top + margin)

    def x(self, cost: float) -> float:
        share = math.log(cost / self.low) / math.log(self.high / self.low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.bottom) / (self.top - self.bottom)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def rows(self) -> list[tuple[float, str]]:
        ticks = [
            float(t)
            for t in MaxNLocator(5).tick_values(self.bottom, self.top)
            if self.bottom <= t <= self.top
        ]
        step = min((b - a for a, b in pairwise(ticks)), default=1.0)
        places = max(0, math.ceil(-math.log10(step) - 1e-9) + (step < 1 and not _whole(step)))
        return [(tick, number(tick, places)) for tick in ticks]


def _whole(step: float) -> bool:
    """Whether a step below 1 is 1, 2 or 5 of its last digit."""
    digits = step * 10 ** math.ceil(-math.log10(step) - 1e-9)
    return math.isclose(digits, round(digits))


def _price(line: Line, cost: str) -> float:
    return {"seconds": line.seconds, "equivalents": line.equivalents, "calls": line.calls}[cost]


def _reach(line: Line, metric: str) -> list[float]:
    """The mean and, where they are known, the ends of its interval about standard."""
    one = line.comparisons[metric]
    ends = (
        ()
        if math.isnan(one.low)
        else (one.mean - one.difference + one.low, one.mean - one.difference + one.high)
    )
    return [one.mean, *ends]


def _point(line: Line, metric: str, cost: str, scale: _Scale, look: Look, used: bool) -> Point:
    one, ends = line.comparisons[metric], _reach(line, metric)[1:]
    name = f"{line.label} {DAGGER}" if one.optimised else line.label
    difference = "" if line.is_standard else f" ({one.difference_text} {one.interval_text})"
    says = f"{name}: {metric} {one.mean_text}{difference}, {priced(_price(line, cost))} {COSTS[cost][0]}"
    low, high = (scale.y(end) for end in ends) if ends else (None, None)
    return Point(name, says, scale.x(_price(line, cost)), scale.y(one.mean), low, high, look, not used)


def _stair(steps: Sequence[Step], means: Mapping[str, float], scale: _Scale) -> str:
    """Along the advice: level until the next step, then up or down to it."""
    corners: list[tuple[float, float]] = []
    for step in steps:
        x, y = scale.x(step.budget), scale.y(means[step.label])
        corners += [(x, corners[-1][1]), (x, y)] if corners else [(x, y)]
    return _line([*corners, (WIDTH - RIGHT, corners[-1][1])]) if corners else ""


def _line(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _log_ticks(low: float, high: float) -> list[float]:
    """At most seven of 1, 2, 5, 10, 20 …"""
    ticks = [m * 10.0**e for e in range(-6, 10) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    return ticks[:: max(1, math.ceil(len(ticks) / 7))]


def _places(tick: float) -> int:
    return max(0, math.ceil(-math.log10(tick) - 1e-9))
