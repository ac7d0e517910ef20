"""Differences to standard with their intervals: one panel a metric or a kind of prompt, one row a method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from noisekit.report.figure import GREY, WIDE, Look, drawing, rows_of, wrapped
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


def bars(panels: Mapping[str, Sequence[Bar]], labels: Sequence[str], styles: Mapping[str, Look]) -> str:
    """Panels by title, each with a bar a label; panels without any difference are left out."""
    shown = {
        title: row for title, row in panels.items() if any(not math.isnan(bar.difference) for bar in row)
    }
    if not shown:
        return ""
    columns, rows = rows_of(len(shown), 4)
    named = [wrapped(label) for label in labels]
    tall = max(0.36, *(0.17 * (1 + name.count("\n")) for name in named))
    with drawing(WIDE, rows * (0.95 + tall * len(labels)), columns, rows, share_y=True) as canvas:
        for axes, (title, row) in zip(canvas.axes, shown.items(), strict=False):
            axes.axvline(0, color=GREY, linewidth=1.2)
            for place, (bar, label) in enumerate(zip(row, labels, strict=True)):
                style = styles[label]
                if not math.isnan(bar.low):
                    axes.plot([bar.low, bar.high], [place, place], color=style.colour, linewidth=2)
                fill = "white" if bar.hollow else style.colour
                axes.plot(bar.difference, place, style.marker, color=style.colour, mfc=fill, mew=1.8, ms=7.5)
            axes.set_title(title)
            axes.set_xlabel("difference to standard")
            axes.set_yticks(range(len(labels)), named)
            axes.set_ylim(len(labels) - 0.5, -0.5)
            axes.tick_params(axis="y", length=0, labelsize=10)
            axes.xaxis.set_major_locator(MaxNLocator(4))
        canvas.hide_after(len(shown))
    return canvas.svg
