"""How searches went: the score they climb by candidate, and whether what nobody climbs rises with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from noisekit.evaluation.statistics import Array
from noisekit.report.figure import WIDE, Look, wrapped
from noisekit.report.plots import panels
from noisekit.report.tables import DAGGER, Line

if TYPE_CHECKING:
    import pandas as pd

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
    curves = {}
    for line in lines:
        own = of_line(traces, line)
        if "best" in own and own["step"].nunique() > 1 and own["best"].notna().any():
            curves[line.label] = line.objective, curve(own, "best")
    if not curves:
        return ""
    grid = panels.Grid.of([wrapped(label, 30) for label in curves], 4, WIDTH, HEIGHT)
    drawn = []
    for place, (label, (objective, one)) in enumerate(curves.items()):
        marked = tuple(one.candidates[:: math.ceil(len(one.candidates) / 6)].tolist())
        x = replace(panels.Axis.around(one.candidates, *grid.across(place)), marked=marked)
        y = panels.Axis.around([*one.mean - one.reach, *one.mean + one.reach], *grid.up(place))
        drawn += panels.Panel(x, y).framed(wrapped(label, 30), "candidates", f"best {objective} so far")
        drawn += _band(one, x, y, styles[label])
    return grid.svg(drawn)


def climbs(traces: pd.DataFrame, line: Line, metric: str) -> bool:
    """Whether a search was watched: a metric of its best image at two candidates or more."""
    own, column = of_line(traces, line), f"metric_{metric}"
    return column in own and own.dropna(subset=[column])["step"].nunique() > 1


def against(traces: pd.DataFrame, lines: Sequence[Line], metric: str, styles: Mapping[str, Look]) -> str:
    """The path of each search through (what it climbs, a metric that it does not), its candidates written along it."""
    shown = [line for line in lines if climbs(traces, line, metric)]
    if not shown:
        return ""
    grid = panels.Grid.of([wrapped(line.label, 42) for line in shown], 3, WIDE / 3, 300)
    paths = []
    for line in shown:
        own = of_line(traces, line).dropna(subset=[f"metric_{metric}"])
        paths.append((line, curve(own, "best"), curve(own, f"metric_{metric}")))
    reached = [
        v for _, _, judged in paths for v in (*judged.mean - judged.reach, *judged.mean + judged.reach)
    ]
    drawn = []
    for place, (line, climbed, judged) in enumerate(paths):
        look = styles[line.label]
        x = panels.Axis.around(climbed.mean, *grid.across(place))
        y = panels.Axis.around(reached, *grid.up(place))
        judge = "" if place % grid.columns else f"{metric} (held out)"
        drawn += panels.Panel(x, y).framed(wrapped(line.label, 42), f"{line.objective} (climbed)", judge)
        start = y.at(judged.mean[0])
        drawn.append(panels.line((x.start, start), (x.end, start), "grey", 1, panels.DASHED))
        points = [(x.at(one), y.at(other)) for one, other in zip(climbed.mean, judged.mean, strict=True)]
        drawn.append(panels.curve(points, look.colour))
        for at, candidate, mean, reach in zip(
            points, climbed.candidates, judged.mean, judged.reach, strict=True
        ):
            ends = (at[0], y.at(mean - reach)), (at[0], y.at(mean + reach))
            drawn += [panels.line(*ends, look.colour, 1.2), panels.mark(*at, look)]
            drawn.append(panels.text(at[0] + 6, at[1] - 8, f"{candidate:g}", "start"))
    return grid.svg(drawn)


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
    grid = panels.Grid.of(list(figures), 4, WIDTH, HEIGHT)
    last = float(own["step"].max() + 1)
    drawn = []
    for place, (title, (column, reach)) in enumerate(figures.items()):
        one = curve(own, column)
        # The normal band may overshoot what a metric can say: the axis ends there.
        x = panels.Axis(0.9, max(1.2, 1.1 * last), *grid.across(place), log=True)
        y = panels.Axis.around([*one.mean - one.reach, *one.mean + one.reach], *grid.up(place), reach)
        drawn += panels.Panel(x, y).framed(title, "candidates")
        drawn += _band(one, x, y, style, marks=column != "best")
    return grid.svg(drawn)


def of_line(traces: pd.DataFrame, line: Line) -> pd.DataFrame:
    """The traces of one method on one model."""
    if not len(traces):
        return traces
    return traces[(traces["model"] == line.model) & (traces["method"] == line.method)]


def _band(one: Curve, x: panels.Axis, y: panels.Axis, style: Look, *, marks: bool = False) -> list[str]:
    low, high, mean = (
        [(x.at(candidate), y.at(value)) for candidate, value in zip(one.candidates, edge, strict=True)]
        for edge in (one.mean - one.reach, one.mean + one.reach, one.mean)
    )
    dots = [panels.mark(*at, style, size=0.7) for at in mean] if marks else []
    return [panels.band(low, high, style), panels.curve(mean, style.colour), *dots]
