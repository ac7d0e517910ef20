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

from noisekit.report.advice import COSTS, Advice, Step, advice, priced
from noisekit.report.figure import Look
from noisekit.report.paths import Path
from noisekit.report.plots.panels import Axis
from noisekit.report.source import ReportedRun
from noisekit.report.tables import DAGGER, Line, Ranking
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
        for metric in metrics_to_weigh(ranked, model):
            own = advice(run, lines, metric, curves if metric in curves else whole)
            drawn = [_chart(lines, own, metric, cost, styles, paths) for cost in _costs(lines)] if own else []
            found.setdefault(model, []).extend(chart for chart in drawn if chart is not None)
    return {model: own for model, own in found.items() if own}


def _costs(lines: Sequence[Line]) -> tuple[str, str]:
    """Seconds, and the operations of all networks where every method's are known, else calls of the denoiser alone."""
    return "seconds", "equivalents" if all(line.equivalents > 0 for line in lines) else "calls"


def metrics_to_weigh(ranked: Ranking, model: str) -> list[str]:
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
    x = Axis(min(costs) / BEYOND, BEYOND * max(costs), LEFT, WIDTH - RIGHT, log=True)
    y = Axis.around(values, HEIGHT - BOTTOM, TOP)
    used = {step.label for step in steps}
    standard = next((line.comparisons[metric].mean for line in drawn if line.is_standard), None)
    means = {offer.label: offer.mean for offer in found.offers.values()}
    return Chart(
        metric=metric,
        cost=cost,
        unit=COSTS[cost][0],
        axis=COSTS[cost][1],
        low=x.low,
        high=x.high,
        columns=[Tick(*tick) for tick in x.ticks(7)],
        rows=[Tick(*tick) for tick in y.ticks()],
        points=[_point(line, metric, cost, (x, y), styles[line.label], line.label in used) for line in drawn],
        paths=[
            (styles[label], _line((x.at(c), y.at(v)) for c, v in way if c > 0)) for label, way in ways.items()
        ],
        standard=None if standard is None else y.at(standard),
        stair=_stair(steps, means, (x, y)),
        steps=steps,
    )


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


def _point(line: Line, metric: str, cost: str, axes: tuple[Axis, Axis], look: Look, used: bool) -> Point:
    (x, y), one, ends = axes, line.comparisons[metric], _reach(line, metric)[1:]
    name = f"{line.label} {DAGGER}" if one.optimised else line.label
    difference = "" if line.is_standard else f" ({one.difference_text} {one.interval_text})"
    says = f"{name}: {metric} {one.mean_text}{difference}, {priced(_price(line, cost))} {COSTS[cost][0]}"
    low, high = (y.at(end) for end in ends) if ends else (None, None)
    return Point(name, says, x.at(_price(line, cost)), y.at(one.mean), low, high, look, not used)


def _stair(steps: Sequence[Step], means: Mapping[str, float], axes: tuple[Axis, Axis]) -> str:
    """Along the advice: level until the next step, then up or down to it."""
    x, y = axes
    corners: list[tuple[float, float]] = []
    for step in steps:
        there = x.at(step.budget), y.at(means[step.label])
        corners += [(there[0], corners[-1][1]), there] if corners else [there]
    return _line([*corners, (WIDTH - RIGHT, corners[-1][1])]) if corners else ""


def _line(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
