"""Settings as curves: the difference to standard, with its interval, over one number of a method."""

from __future__ import annotations

import math
from collections.abc import Sequence

from noisekit.report.figure import WIDE, Look, looks
from noisekit.report.plots import panels
from noisekit.report.sweeps import Curve, Sweep
from noisekit.report.tables import DAGGER

#: The axis is logarithmic where values reach over this ratio.
FAR = 8


def sweep(one: Sweep, metrics: Sequence[str]) -> str:
    """One panel a metric, one curve for all else that is set; hollow where the method optimised the metric."""
    shown = [m for m in metrics if any(_known(curve, m) for curve in one.curves)]
    if not shown:
        return ""
    styles = looks([curve.label for curve in one.curves])
    values = sorted({x for curve in one.curves for x, _ in curve.points})
    far, margin = values[0] > 0 and values[-1] / values[0] >= FAR, 0.08 * (values[-1] - values[0])
    reach = (values[0] / 1.2, values[-1] * 1.2) if far else (values[0] - margin, values[-1] + margin)
    grid = panels.Grid.of(shown, 4, WIDE / 4, 230)
    drawn = []
    for place, metric in enumerate(shown):
        compared = [line.comparisons[metric] for curve in one.curves for _, line in curve.points]
        ends = [v for c in compared for v in (c.difference, c.low, c.high)]
        x = panels.Axis(*reach, *grid.across(place), far, tuple(values[:: math.ceil(len(values) / 6)]))
        y = panels.Axis.around([*ends, 0.0], *grid.up(place))
        title = f"{metric} {DAGGER}" if any(c.optimised for c in compared) else metric
        drawn += panels.Panel(x, y).framed(title, one.setting)
        drawn.append(panels.line((x.start, y.at(0)), (x.end, y.at(0)), "grey", 1.2))
        for curve in one.curves:
            drawn += _curve(curve, metric, x, y, styles[curve.label])
    below, high = panels.legend(
        {curve.label: styles[curve.label] for curve in one.curves}, grid.height * grid.rows
    )
    return grid.svg([*drawn, *below], high) if len(one.curves) > 1 else grid.svg(drawn)


def _known(curve: Curve, metric: str) -> bool:
    """Whether there is more than a point."""
    return sum(not math.isnan(line.comparisons[metric].difference) for _, line in curve.points) > 1


def _curve(curve: Curve, metric: str, x: panels.Axis, y: panels.Axis, look: Look) -> list[str]:
    compared = [(x.at(value), line.comparisons[metric]) for value, line in curve.points]
    known = [(at, c) for at, c in compared if not math.isnan(c.difference)]
    bars = [
        panels.line((at, y.at(c.low)), (at, y.at(c.high)), look.colour, 1.4)
        for at, c in known
        if not math.isnan(c.low)
    ]
    marks = [panels.mark(at, y.at(c.difference), look, hollow=c.optimised) for at, c in known]
    return [*bars, panels.curve([(at, y.at(c.difference)) for at, c in known], look.colour, 1.6), *marks]
