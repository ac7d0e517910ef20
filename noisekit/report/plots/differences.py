"""Differences to standard with their intervals: one panel a metric or a kind of prompt, one row a method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from noisekit.report.figure import WIDE, Look, rows_of, wrapped
from noisekit.report.plots import panels
from noisekit.report.tables import Line

#: Pixels above a panel and below it.
HEAD, FOOT = 26, 46


@dataclass(frozen=True)
class Bar:
    """A difference to standard and the ends of its 95 % interval, NaN where there is none; hollow: no proof."""

    difference: float
    low: float
    high: float
    hollow: bool = False


def by_metric(lines: Sequence[Line], metrics: Sequence[str], styles: Mapping[str, Look]) -> str:
    """One panel a metric; hollow where the method optimised it."""
    others = [line for line in lines if not line.is_standard]
    compared = {metric: [line.comparisons[metric] for line in others] for metric in metrics}
    panels = {m: [Bar(c.difference, c.low, c.high, c.optimised) for c in row] for m, row in compared.items()}
    return bars(panels, [line.label for line in others], styles)


def bars(figures: Mapping[str, Sequence[Bar]], labels: Sequence[str], styles: Mapping[str, Look]) -> str:
    """Panels by title, each with a bar a label; figures without any difference are left out."""
    shown = {
        title: row for title, row in figures.items() if any(not math.isnan(bar.difference) for bar in row)
    }
    if not shown:
        return ""
    columns, rows = rows_of(len(shown), 4)
    named = [wrapped(label).split("\n") for label in labels]
    left = 7.0 * max(len(text) for lines in named for text in lines) + 12
    wide = (WIDE * 96 - left) / columns
    tall = [max(28, panels.LINE * len(lines) + 12) for lines in named]
    high = HEAD + sum(tall) + FOOT
    drawn = []
    for place, (title, row) in enumerate(shown.items()):
        right, top = left + wide * (place % columns), high * (place // columns) + HEAD
        x = panels.Axis.around(
            [v for one in row for v in (one.difference, one.low, one.high, 0.0)], right, right + wide - 18
        )
        panel = panels.Panel(x, panels.Axis(0, 1, top + sum(tall), top))
        drawn += panel.framed(title, "difference to standard", rows=False)
        drawn += [panels.line((x.at(0), top), (x.at(0), top + sum(tall)), "grey", 1.2)]
        y = float(top)
        for one, label, lines, room in zip(row, labels, named, tall, strict=True):
            middle = y + room / 2
            if not place % columns:
                first = middle + 4 - panels.LINE * (len(lines) - 1) / 2
                drawn += [
                    panels.text(left - 10, first + panels.LINE * n, text, "end", "fill: var(--ink)")
                    for n, text in enumerate(lines)
                ]
            if not math.isnan(one.low):
                drawn.append(panels.bar((x.at(one.low), middle), (x.at(one.high), middle), styles[label]))
            if not math.isnan(one.difference):
                drawn.append(panels.mark(x.at(one.difference), middle, styles[label], hollow=one.hollow))
            y += room
    return panels.svg(drawn, WIDE * 96, high * rows)
