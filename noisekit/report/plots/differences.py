"""Differences to standard with their intervals: one panel a metric or a kind of prompt, one row a method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from noisekit.report.figure import WIDE, Look, rows_of, wrapped
from noisekit.report.plots import panels
from noisekit.report.tables import Line


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
    named = [wrapped(label) for label in labels]
    left = 7.0 * max(len(text) for label in named for text in label.split("\n")) + 12
    wide = (WIDE - left) / columns
    tall = [max(28, panels.LINE * (label.count("\n") + 1) + 12) for label in named]
    high = panels.HEAD + sum(tall) + panels.FOOT
    drawn = []
    for place, (title, row) in enumerate(shown.items()):
        right, top = left + wide * (place % columns), high * (place // columns) + panels.HEAD
        x = panels.Axis.around(
            [v for one in row for v in (one.difference, one.low, one.high, 0.0)], right, right + wide - 18
        )
        panel = panels.Panel(x, panels.Axis(0, 1, top + sum(tall), top))
        drawn += panel.framed(title, "difference to standard", rows=False)
        drawn += [panels.line((x.at(0), top), (x.at(0), top + sum(tall)), "grey", 1.2)]
        y = float(top)
        for one, look, label, room in zip(row, map(styles.__getitem__, labels), named, tall, strict=True):
            middle = y + room / 2
            if not place % columns:
                last = middle + 4 + panels.LINE * label.count("\n") / 2
                drawn += panels.lines_of(left - 10, last, label, "end", "fill: var(--ink)")
            if not math.isnan(one.low):
                ends = (x.at(one.low), middle), (x.at(one.high), middle)
                drawn.append(panels.line(*ends, look.colour, 2))
            if not math.isnan(one.difference):
                drawn.append(panels.mark(x.at(one.difference), middle, look, hollow=one.hollow))
            y += room
    return panels.svg(drawn, WIDE, high * rows)
