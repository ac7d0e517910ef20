"""How searches went: the score they climb by candidate, and whether what nobody climbs rises with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from noisekit.evaluation.statistics import Array
from noisekit.report.figure import GREY, WIDE, Look, drawing, rows_of, wrapped
from noisekit.report.plots import panels
from noisekit.report.tables import DAGGER, Line

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from noisekit.metrics import MetricInfo


#: Pixels of a panel of one search.
WIDTH, HEIGHT = 254, 226


@dataclass(frozen=True)
class Curve:
    """A column of the traces by candidate (1, 2, …): its mean over prompts and the reach of the 95 % band around it."""

    candidates: Array
    mean: Array
    reach: Array


def curve(own: pd.DataFrame, column: str) -> Curve:
    """Samples of one prompt are averaged first; the band is 1.96 standard errors over prompts."""
    by_prompt = own.dropna(subset=[column]).groupby(["step", "prompt"])[column].mean().astype(float)
    by_step = by_prompt.groupby("step")
    mean, spread, prompts = (by_step.agg(what).to_numpy(float) for what in ("mean", "std", "size"))
    candidates = by_step.size().index.to_numpy(float) + 1
    return Curve(candidates, mean, 1.96 * np.nan_to_num(spread) / np.sqrt(prompts))


def search(traces: pd.DataFrame, lines: Sequence[Line], styles: Mapping[str, Look]) -> str:
    """Best score so far by candidate on one model, one panel a method that searches."""
    curves = []
    for line in lines:
        own = of_line(traces, line)
        if "best" in own and own["step"].nunique() > 1 and own["best"].notna().any():
            curves.append((line, own))
    if not curves:
        return ""
    columns, rows = rows_of(len(curves), 4)
    with drawing(min(WIDE, 3.6 * columns), 2.6 * rows, columns, rows) as canvas:
        for axes, (line, own) in zip(canvas.axes, curves, strict=False):
            _band(axes, curve(own, "best"), styles[line.label])
            axes.set_title(wrapped(line.label, 24))
            axes.set_xlabel("candidates")
            axes.set_ylabel(f"best {line.objective} so far")
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        canvas.hide_after(len(curves))
    return canvas.svg


def climbs(traces: pd.DataFrame, line: Line, metric: str) -> bool:
    """Whether a search was watched: a metric of its best image at two candidates or more."""
    own, column = of_line(traces, line), f"metric_{metric}"
    return column in own and own.dropna(subset=[column])["step"].nunique() > 1


def against(traces: pd.DataFrame, lines: Sequence[Line], metric: str, styles: Mapping[str, Look]) -> str:
    """The path of each search through (what it climbs, a metric that it does not), its candidates written along it."""
    shown = [line for line in lines if climbs(traces, line, metric)]
    if not shown:
        return ""
    columns, rows = rows_of(len(shown), 3)
    with drawing(min(WIDE, 3.8 * columns), 3.2 * rows, columns, rows, share_y=True) as canvas:
        for place, (axes, line) in enumerate(zip(canvas.axes, shown, strict=False)):
            own = of_line(traces, line).dropna(subset=[f"metric_{metric}"])
            _path(axes, curve(own, "best"), curve(own, f"metric_{metric}"), styles[line.label])
            axes.set_title(wrapped(line.label, 24))
            axes.set_xlabel(f"{line.objective} (climbed)")
            axes.margins(x=0.12, y=0.12)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            if place % columns == 0:
                axes.set_ylabel(f"{metric} (held out)")
        canvas.hide_after(len(shown))
    return canvas.svg


def _path(axes: Axes, climbed: Curve, judged: Curve, style: Look) -> None:
    x, y = climbed.mean, judged.mean
    axes.errorbar(
        x,
        y,
        judged.reach,
        color=style.colour,
        elinewidth=1.2,
        linewidth=1.8,
        marker=style.marker,
        markersize=6,
    )
    axes.axhline(y[0], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    for candidate, at in zip(climbed.candidates, zip(x, y, strict=True), strict=True):
        axes.annotate(f"{candidate:g}", at, xytext=(4, 6), textcoords="offset points", fontsize=8.5)


def by_candidate(
    traces: pd.DataFrame, line: Line, metrics: Sequence[MetricInfo], styles: Mapping[str, Look]
) -> str:
    """What the metrics say of the best image along one search: the objective first, then each metric."""
    shown = {info.name: info for info in metrics if climbs(traces, line, info.name)}
    if not shown:
        return ""
    own, style = of_line(traces, line), styles[line.label]
    figures = {f"{line.objective} (climbed)": ("best", (-math.inf, math.inf))}
    for metric, info in shown.items():
        mark = f" {DAGGER} (optimised)" if line.comparisons[metric].optimised else " (held out)"
        figures[metric + mark] = f"metric_{metric}", (info.low, info.high)
    columns, rows = rows_of(len(figures), 4)
    last = float(own["step"].max() + 1)
    drawn = []
    for place, (title, (column, reach)) in enumerate(figures.items()):
        one, left, top = curve(own, column), WIDTH * (place % columns), HEIGHT * (place // columns)
        # The normal band may overshoot what a metric can say: the axis ends there.
        low, high = one.mean - one.reach, one.mean + one.reach
        x = panels.Axis(0.9, max(1.2, 1.1 * last), left + 56, left + WIDTH - 14, log=True)
        y = panels.Axis.around([*low, *high], top + HEIGHT - 46, top + 28, reach)
        drawn += panels.Panel(x, y).framed(title, "candidates")
        across = [x.at(value) for value in one.candidates]
        ends = [[(at, y.at(v)) for at, v in zip(across, edge, strict=True)] for edge in (low, high, one.mean)]
        drawn += [panels.band(ends[0], ends[1], style), panels.curve(ends[2], style)]
        if column != "best":
            drawn += [panels.mark(*at, style, size=0.7) for at in ends[2]]
    return panels.svg(drawn, WIDTH * columns, HEIGHT * rows)


def of_line(traces: pd.DataFrame, line: Line) -> pd.DataFrame:
    """The traces of one method on one model."""
    if not len(traces):
        return traces
    return traces[(traces["model"] == line.model) & (traces["method"] == line.method)]


def _band(axes: Axes, one: Curve, style: Look, marker: str = "") -> None:
    axes.fill_between(
        one.candidates, one.mean - one.reach, one.mean + one.reach, color=style.colour, alpha=0.16, lw=0
    )
    axes.plot(one.candidates, one.mean, color=style.colour, linewidth=2, marker=marker or None, markersize=5)
